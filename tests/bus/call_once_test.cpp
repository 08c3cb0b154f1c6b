#include <thread>

#include "tests/bus/test_node.hpp"

using namespace zerodb;
using test::run_until;
using test::TestNode;

namespace {

void let_in(TestNode& node, const CurvePair& invite) {
  node.links().set_members({node.member()});
  node.links().set_invites({invite.public_key});
}

/// call_once() blocks, so it has a thread of its own while `io` runs here.
Result<PeerAnswer> call_meanwhile(asio::io_context& io, const std::string& endpoint,
                                  const NodeId& server, const CurvePair& keys,
                                  Milliseconds timeout = Milliseconds(5000)) {
  Result<PeerAnswer> answer;
  std::atomic<bool> done = false;
  std::thread caller([&] {
    answer = call_once(endpoint, server, keys, peer::Join{}, timeout);
    done = true;
  });
  run_until(io, [&] { return done.load(); });
  caller.join();
  return answer;
}

}  // namespace

TEST_CASE("call_once: an invite's key joins", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  const auto invite = CurvePair::generate();
  let_in(node, invite);
  node.answer = [](Caller, peer::Request request, Payload) -> Task<Result<PeerAnswer>> {
    CHECK(std::holds_alternative<peer::Join>(request));
    co_return PeerAnswer{.message = peer::GetRoster::Reply{.roster = {1, 2}, .records = {}},
                         .payload = Payload::copy_of(as_bytes("p"))};
  };
  const auto answer = call_meanwhile(io, node.links().endpoint(), node.id(), invite);
  REQUIRE(answer);
  CHECK(std::get<peer::GetRoster::Reply>(answer->message).roster == Bytes{1, 2});
  CHECK(as_text(answer->payload.view()) == "p");
}

TEST_CASE("call_once: a ticket that is used up is denied at once", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  node.links().set_members({node.member()});
  const auto start = std::chrono::steady_clock::now();
  const auto answer = call_meanwhile(io, node.links().endpoint(), node.id(), CurvePair::generate());
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::denied);
  CHECK_THAT(answer.error().what, Catch::Contains("ticket"));
  CHECK(std::chrono::steady_clock::now() - start < Milliseconds(4000));
}

TEST_CASE("call_once: a server with another key is not believed", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  const auto invite = CurvePair::generate();
  let_in(node, invite);
  const auto answer = call_meanwhile(io, node.links().endpoint(), CurvePair::generate().public_key,
                                     invite, Milliseconds(700));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::denied);
  CHECK_THAT(answer.error().what, Catch::Contains("key"));
}

TEST_CASE("call_once: who was reached has longer to answer", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  const auto invite = CurvePair::generate();
  let_in(node, invite);
  node.answer = [&io](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    asio::steady_timer disk(io, Milliseconds(1000));
    co_await disk.async_wait(asio::use_awaitable);
    co_return PeerAnswer{.message = peer::GetRoster::Reply{}, .payload = {}};
  };
  CHECK(call_meanwhile(io, node.links().endpoint(), node.id(), invite, Milliseconds(700)));
}

TEST_CASE("call_once: what a broken connection took along is asked again", "[bus]") {
  asio::io_context io;
  const auto invite = CurvePair::generate();
  std::optional<TestNode> node(std::in_place, io);
  auto options = test::calm_options();
  options.listen = node->links().endpoint();
  bool asked = false;
  let_in(*node, invite);
  node->answer = [&](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    asked = true;
    asio::steady_timer never(io, std::chrono::hours(1));
    co_await never.async_wait(asio::use_awaitable);
    co_return fail(Errc::io, "never sent");
  };
  NodeKeys same{.curve = CurvePair::from_secret(node->keys().curve.secret.clone()),
                .sign = SigningKey(node->keys().sign.seed())};
  Result<PeerAnswer> answer;
  std::atomic<bool> done = false;
  std::thread caller([&, endpoint = options.listen, id = node->id()] {
    answer = call_once(endpoint, id, invite, peer::Join{}, Milliseconds(5000));
    done = true;
  });
  run_until(io, [&] { return asked; });
  node.emplace(io, std::move(same), options);
  let_in(*node, invite);
  node->answer = [](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    co_return PeerAnswer{.message = peer::GetRoster::Reply{.roster = {7}, .records = {}},
                         .payload = {}};
  };
  run_until(io, [&] { return done.load(); });
  caller.join();
  REQUIRE(answer);
  CHECK(std::get<peer::GetRoster::Reply>(answer->message).roster == Bytes{7});
}

TEST_CASE("call_once: nobody there is a timeout that names the address", "[bus]") {
  asio::io_context io;
  std::string endpoint;
  NodeId id;
  {
    TestNode gone(io);
    endpoint = gone.links().endpoint();
    id = gone.id();
  }
  const auto answer =
      call_once(endpoint, id, CurvePair::generate(), peer::Join{}, Milliseconds(300));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::timeout);
  CHECK_THAT(answer.error().what, Catch::Contains(endpoint));
}

TEST_CASE("call_once: an address that is none is invalid", "[bus]") {
  const auto keys = CurvePair::generate();
  for (const std::string endpoint : {"", "nonsense", "tcp://", "tcp://host", "http://a:1"}) {
    const auto answer = call_once(endpoint, keys.public_key, keys, peer::Join{}, Milliseconds(300));
    REQUIRE_FALSE(answer);
    CHECK(answer.error().code == Errc::invalid);
  }
}
