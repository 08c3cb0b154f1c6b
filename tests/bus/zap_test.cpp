#include "bus/zap.hpp"

#include "bus/curve.hpp"
#include "store/hash.hpp"
#include "tests/support/coroutines.hpp"

using namespace zerodb;

namespace {

const bool crypto_ready = initialise_crypto().has_value();

/// A server set up as the links do, and what the self-test says of it.
struct SelfTest {
  explicit SelfTest(Verdict to_everyone)
      : context(std::move(*BusContext::open({.io_threads = 1}))),
        zap(*ZapHandler::start(
            io, context, [to_everyone](std::string_view, const NodeId&) { return to_everyone; })),
        server(context.zmq(), zmq::socket_type::router) {
    REQUIRE(set_limits(server, {}));
  }
  ~SelfTest() { zap->close(); }

  Status run() { return prove_refusal(context, *zap, server, keys.public_key); }

  asio::io_context io;
  BusContext context;
  CurvePair keys = CurvePair::generate();
  std::shared_ptr<ZapHandler> zap;
  zmq::socket_t server;
};

}  // namespace

TEST_CASE("zap: the self-test sees a stranger refused, quickly", "[bus]") {
  SelfTest test(Verdict::refuse);
  REQUIRE(serve_curve(test.server, test.keys, peer_domain));
  const auto start = std::chrono::steady_clock::now();
  CHECK(test.run());
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::milliseconds(1000));
}

TEST_CASE("zap: the self-test notices a handler that lets everyone in", "[bus]") {
  SelfTest test(Verdict::allow);
  REQUIRE(serve_curve(test.server, test.keys, peer_domain));
  const auto proved = test.run();
  REQUIRE_FALSE(proved);
  CHECK(proved.error().code == Errc::denied);
  CHECK_THAT(proved.error().what, Catch::Contains("let in"));
}

TEST_CASE("zap: the self-test notices a server that asks no handler", "[bus]") {
  SelfTest test(Verdict::refuse);
  // CURVE alone in a context without a handler, as libzmq has it by default: any key will do.
  auto elsewhere = BusContext::open({.io_threads = 1});
  REQUIRE(elsewhere);
  zmq::socket_t server(elsewhere->zmq(), zmq::socket_type::router);
  server.set(zmq::sockopt::linger, 0);
  server.set(zmq::sockopt::curve_server, true);
  zmq_setsockopt(server.handle(), ZMQ_CURVE_SECRETKEY, test.keys.secret.view().data(), 32);
  const auto proved = prove_refusal(*elsewhere, *test.zap, server, test.keys.public_key);
  REQUIRE_FALSE(proved);
  CHECK_THAT(proved.error().what, Catch::Contains("let in"));
}

TEST_CASE("zap: a server set up our way lets nobody in without a handler", "[bus]") {
  SelfTest test(Verdict::allow);
  auto elsewhere = BusContext::open({.io_threads = 1});
  REQUIRE(elsewhere);
  zmq::socket_t server(elsewhere->zmq(), zmq::socket_type::router);
  REQUIRE(set_limits(server, {}));
  REQUIRE(serve_curve(server, test.keys, peer_domain));
  const auto proved = prove_refusal(*elsewhere, *test.zap, server, test.keys.public_key);
  REQUIRE_FALSE(proved);  // nobody is told why, either: a node that cannot ask does not run
  CHECK_THAT(proved.error().what, !Catch::Contains("let in"));
}

TEST_CASE("zap: there is one handler a context", "[bus]") {
  SelfTest test(Verdict::refuse);
  const auto second = ZapHandler::start(
      test.io, test.context, [](std::string_view, const NodeId&) { return Verdict::allow; });
  REQUIRE_FALSE(second);
  CHECK(second.error().code == Errc::io);
}
