#include <thread>

#include "tests/bus/test_node.hpp"

using namespace zerodb;
using test::connect;
using test::run;
using test::run_until;
using test::TestNode;

namespace {

constexpr Milliseconds long_time{15000};

peer::Request chunk_request() {
  return peer::PutChunk{};
}
peer::Request small_request() {
  return peer::GetManifest{};
}

Payload payload_of(std::size_t size) {
  return Payload::take(Bytes(size, 0x5a));
}

/// Calls, and forgets how it ended.
void call_and_forget(asio::io_context& io, TestNode& from, const TestNode& to, Payload payload) {
  asio::co_spawn(io, from.links().call(to.id(), small_request(), std::move(payload), long_time),
                 [](std::exception_ptr, const Result<PeerAnswer>&) {});
}

}  // namespace

TEST_CASE("links: a request gets its answer, and its caller is known", "[bus]") {
  asio::io_context io;
  TestNode a(io);
  TestNode b(io);
  connect(io, {&a, &b});
  const auto answer =
      run(io, a.links().call(b.id(), small_request(), Payload::copy_of(as_bytes("hi")), long_time));
  REQUIRE(answer);
  CHECK(std::holds_alternative<peer::Ok>(answer->message));
  CHECK(as_text(answer->payload.view()) == "hi");
  REQUIRE(b.callers.size() == 1);
  CHECK(b.callers[0].key == a.id());
  CHECK(b.callers[0].role == Caller::Role::member);
  CHECK(a.ups == std::vector{b.id()});
  CHECK(a.links().state(b.id()).heard_ms_ago.has_value());
}

TEST_CASE("links: an error is answered as such", "[bus]") {
  asio::io_context io;
  TestNode a(io);
  TestNode b(io);
  b.answer = [](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    co_return fail(Errc::full, "no space left");
  };
  connect(io, {&a, &b});
  const auto answer = run(io, a.links().call(b.id(), small_request(), {}, long_time));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::full);
  CHECK_THAT(answer.error().what, Catch::Contains("no space left"));
}

TEST_CASE("links: 64 requests in flight find their answers, whatever the order", "[bus]") {
  asio::io_context io;
  TestNode a(io);
  TestNode b(io);
  // The last request is answered first.
  b.answer = [&io](Caller, peer::Request request, Payload payload) -> Task<Result<PeerAnswer>> {
    const auto index = std::get<peer::PutChunk>(request).index;
    asio::steady_timer timer(io, Milliseconds(200 - 3 * static_cast<int>(index)));
    co_await timer.async_wait(asio::use_awaitable);
    co_return PeerAnswer{.message = peer::Credit{.bytes = index}, .payload = payload};
  };
  connect(io, {&a, &b});
  std::vector<std::uint64_t> order;
  for (std::uint64_t i = 0; i < 64; ++i) {
    asio::co_spawn(io,
                   a.links().call(b.id(), peer::PutChunk{.transfer = {}, .index = i},
                                  Payload::take(Bytes(100 + i, 1)), long_time),
                   [&order, i](std::exception_ptr, Result<PeerAnswer> answer) {
                     REQUIRE(answer);
                     CHECK(std::get<peer::Credit>(answer->message).bytes == i);
                     CHECK(answer->payload.size() == 100 + i);
                     order.push_back(i);
                   });
  }
  run_until(io, [&] { return order.size() == 64; });
  CHECK_FALSE(std::ranges::is_sorted(order));
}

TEST_CASE("links: chunks of 1 MiB arrive whole", "[bus]") {
  asio::io_context io;
  TestNode a(io);
  TestNode b(io);
  connect(io, {&a, &b});
  unsigned whole = 0;
  for (int i = 0; i < 40; ++i) {
    asio::co_spawn(io, a.links().call(b.id(), chunk_request(), payload_of(1 << 20), long_time),
                   [&](std::exception_ptr, Result<PeerAnswer> answer) {
                     if (!answer) FAIL_CHECK(answer.error().what);
                     if (answer && answer->payload.size() == 1 << 20) ++whole;
                   });
  }
  run_until(io, [&] { return whole == 40; });
}

TEST_CASE("links: more than the limit for one peer is refused as busy", "[bus]") {
  asio::io_context io;
  auto options = test::calm_options();
  options.peer_bytes_max = 4 << 20;
  TestNode a(io, NodeKeys::generate(), options);
  TestNode b(io);
  connect(io, {&a, &b});
  unsigned busy = 0;
  unsigned done = 0;
  for (int i = 0; i < 10; ++i) {  // all at once: nothing can have left yet
    asio::co_spawn(io, a.links().call(b.id(), chunk_request(), payload_of(1 << 20), long_time),
                   [&](std::exception_ptr, Result<PeerAnswer> answer) {
                     ++done;
                     if (!answer && answer.error().code == Errc::busy) ++busy;
                   });
  }
  run_until(io, [&] { return done == 10; });
  CHECK(busy >= 1);
  CHECK(busy < 10);
  CHECK(run(io, a.links().call(b.id(), chunk_request(), payload_of(1 << 20), long_time)));
}

TEST_CASE("links: nobody is there, no address, not a member", "[bus]") {
  asio::io_context io;
  TestNode a(io);
  TestNode b(io);
  const auto stranger = run(io, a.links().call(b.id(), small_request(), {}, long_time));
  REQUIRE_FALSE(stranger);
  CHECK(stranger.error().code == Errc::not_found);

  auto member = b.member();
  member.address.reset();
  a.links().set_members({member});
  const auto homeless = run(io, a.links().call(b.id(), small_request(), {}, long_time));
  REQUIRE_FALSE(homeless);
  CHECK(homeless.error().code == Errc::not_found);
}

TEST_CASE("links: a call to a member that never answered fails at once", "[bus]") {
  asio::io_context io;
  TestNode a(io);
  auto member = [&io] { return TestNode(io).member(); }();  // it is gone again
  a.links().set_members({member});
  const auto start = std::chrono::steady_clock::now();
  const auto answer = run(io, a.links().call(member.node, small_request(), {}, long_time));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::timeout);
  CHECK(std::chrono::steady_clock::now() - start < Milliseconds(1000));
}

TEST_CASE("links: when a peer dies, its calls fail within the ping limit and others go on",
          "[bus]") {
  asio::io_context io;
  TestNode a(io, NodeKeys::generate(), test::fast_options());
  auto dying = std::make_unique<TestNode>(io);
  TestNode c(io);
  dying->answer = [&io](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    asio::steady_timer never(io, std::chrono::hours(1));
    co_await never.async_wait(asio::use_awaitable);
    co_return PeerAnswer{};
  };
  connect(io, {&a, dying.get(), &c});
  const auto id = dying->id();
  std::optional<Error> failed;
  asio::co_spawn(io, a.links().call(id, small_request(), {}, std::chrono::hours(1)),
                 [&](std::exception_ptr, Result<PeerAnswer> answer) {
                   failed = answer ? Error{} : answer.error();
                 });
  run_until(io, [&] { return dying->callers.size() == 1; });
  dying->stop();
  const auto start = std::chrono::steady_clock::now();
  CHECK(run(io, a.links().call(c.id(), small_request(), {}, long_time)));
  run_until(io, [&] { return failed.has_value(); });
  CHECK(failed->code == Errc::timeout);
  CHECK(std::chrono::steady_clock::now() - start < Milliseconds(2000));
  CHECK(a.downs == std::vector{id});
  CHECK_FALSE(a.links().state(id).up);
  CHECK(run(io, a.links().call(c.id(), small_request(), {}, long_time)));
}

TEST_CASE("links: a node that stood still does not take its peers for dead", "[bus]") {
  asio::io_context io;
  TestNode a(io, NodeKeys::generate(), test::fast_options());
  TestNode b(io, NodeKeys::generate(), test::fast_options());
  connect(io, {&a, &b});
  unsigned pings = 0;
  b.on_ping = [&] {
    // Not to wait for anything: this is the stall, of both nodes as they share the thread.
    if (++pings <= 3) std::this_thread::sleep_for(Milliseconds(550));
  };
  run_until(io, [&] { return pings == 6; });
  CHECK(a.downs.empty());
  CHECK(b.downs.empty());
}

TEST_CASE("links: a peer that comes back elsewhere is found again", "[bus]") {
  asio::io_context io;
  TestNode a(io, NodeKeys::generate(), test::fast_options());
  auto b = std::make_unique<TestNode>(io);
  connect(io, {&a, b.get()});
  const auto seed = b->keys().sign.seed();
  NodeKeys same_keys{CurvePair::from_secret(b->keys().curve.secret.clone()), SigningKey(seed)};
  b->stop();
  run_until(io, [&] { return !a.is_up(*b); });
  TestNode returned(io, std::move(same_keys));
  REQUIRE(returned.id() == b->id());
  connect(io, {&a, &returned});
  CHECK(run(io, a.links().call(returned.id(), small_request(), {}, long_time)));
  CHECK(a.ups.size() == 2);
}

TEST_CASE("links: a peer that was killed and is back at once is noticed", "[bus]") {
  asio::io_context io;
  auto patient = test::fast_options();
  patient.down_after = Milliseconds(60'000);
  TestNode a(io, NodeKeys::generate(), patient);
  auto b = std::make_unique<TestNode>(io);
  b->answer = [&io](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    asio::steady_timer never(io, std::chrono::hours(1));
    co_await never.async_wait(asio::use_awaitable);
    co_return PeerAnswer{};
  };
  connect(io, {&a, b.get()});
  const auto id = b->id();
  std::optional<Error> failed;
  asio::co_spawn(io, a.links().call(id, small_request(), {}, std::chrono::hours(1)),
                 [&](std::exception_ptr, Result<PeerAnswer> answer) {
                   failed = answer ? Error{} : answer.error();
                 });
  run_until(io, [&] { return b->callers.size() == 1; });
  auto options = test::calm_options();
  options.listen = b->links().endpoint();
  options.broadcast_listen = b->links().broadcast_endpoint();
  NodeKeys same_keys{CurvePair::from_secret(b->keys().curve.secret.clone()),
                     SigningKey(b->keys().sign.seed())};
  b->stop();
  TestNode returned(io, std::move(same_keys), options);
  returned.links().set_members({a.member(), returned.member()});
  run_until(io, [&] { return failed && a.ups.size() == 2; });  // and is up again
  CHECK(failed->code == Errc::timeout);
  CHECK(a.downs == std::vector{id});
}

TEST_CASE("links: a request that timed out is not delivered to a peer that comes back", "[bus]") {
  asio::io_context io;
  TestNode a(io, NodeKeys::generate(), test::fast_options());
  auto b = std::make_unique<TestNode>(io);
  connect(io, {&a, b.get()});
  auto options = test::calm_options();
  options.listen = b->links().endpoint();
  options.broadcast_listen = b->links().broadcast_endpoint();
  NodeKeys same_keys{CurvePair::from_secret(b->keys().curve.secret.clone()),
                     SigningKey(b->keys().sign.seed())};
  b->stop();
  // Some of these are asked before libzmq has noticed, some after.
  for (int i = 0; i < 5; ++i) {
    const auto answer = run(io, a.links().call(b->id(), small_request(), {}, Milliseconds(40)));
    CHECK_FALSE(answer);
  }
  TestNode returned(io, std::move(same_keys), options);
  bool stale = false;
  returned.answer = [&](Caller, peer::Request request, Payload) -> Task<Result<PeerAnswer>> {
    stale = stale || std::holds_alternative<peer::GetManifest>(request);
    co_return PeerAnswer{.message = peer::Ok{}, .payload = {}};
  };
  // Each link delivers in order: what comes before an answer has come.
  bool answered = false;
  while (!answered) {
    connect(io, {&a, &returned});
    answered = run(io, a.links().call(returned.id(), chunk_request(), {}, long_time)).has_value();
  }
  CHECK_FALSE(stale);
}

TEST_CASE("links: a node that is introduced late gets through in the end", "[bus]") {
  asio::io_context io;
  TestNode a(io);
  TestNode b(io);
  b.links().set_members({b.member()});  // b refuses a for good, as far as libzmq is concerned
  a.links().set_members({a.member(), b.member()});
  asio::steady_timer settle(io, Milliseconds(300));
  bool settled = false;
  settle.async_wait([&](const asio::error_code&) { settled = true; });
  run_until(io, [&] { return settled; });
  CHECK_FALSE(a.is_up(b));
  b.links().set_members({a.member(), b.member()});
  run_until(io, [&] { return a.is_up(b) && b.is_up(a); });
}

TEST_CASE("links: a member that leaves is not served any more, on its old connection too",
          "[bus]") {
  asio::io_context io;
  TestNode a(io, NodeKeys::generate(), test::fast_options());
  TestNode b(io, NodeKeys::generate(), test::fast_options());
  connect(io, {&a, &b});
  b.links().set_members({b.member()});
  const auto answer = run(io, a.links().call(b.id(), small_request(), {}, Milliseconds(300)));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::timeout);
  CHECK(b.callers.empty());
  run_until(io, [&] { return b.downs.size() == 1; });
  run_until(io, [&] { return a.downs.size() == 1; });
}

TEST_CASE("links: a member that leaves does not hear broadcasts any more", "[bus]") {
  asio::io_context io;
  TestNode a(io);
  TestNode b(io);
  TestNode c(io);
  connect(io, {&a, &b, &c});
  const auto has_heard = [](const TestNode& node, std::uint64_t nonce) {
    return std::ranges::any_of(node.broadcasts, [&](const auto& heard) {
      return std::get<broadcast::Get>(heard.second).nonce == nonce;
    });
  };
  const auto publish_until_heard = [&](std::uint64_t nonce, const TestNode& by) {
    run_until(io, [&] {
      a.links().publish({}, broadcast::Get{.owner = {}, .hashed_key = {}, .nonce = nonce});
      return has_heard(by, nonce);
    });
  };
  publish_until_heard(1, b);
  publish_until_heard(2, c);
  a.links().set_members({a.member(), c.member()});
  publish_until_heard(3, c);  // which is cut off, too, and back at once
  CHECK_FALSE(has_heard(b, 3));
}

TEST_CASE("links: a peer that falls silent is suspect, then down, and alive when it is back",
          "[bus]") {
  asio::io_context io;
  TestNode a(io, NodeKeys::generate(), test::fast_options());
  auto b = std::make_unique<TestNode>(io);
  connect(io, {&a, b.get()});
  const auto id = b->id();
  const auto state = [&] { return a.links().state(id); };
  run_until(io, [&] { return state().health == Health::alive; });
  CHECK(state().since_ms_ago);
  NodeKeys same_keys{CurvePair::from_secret(b->keys().curve.secret.clone()),
                     SigningKey(b->keys().sign.seed())};
  b->stop();
  run_until(io, [&] { return state().health == Health::suspect; });
  CHECK(state().up);  // requests still go to it
  CHECK(state().since_ms_ago == state().heard_ms_ago);
  run_until(io, [&] { return state().health == Health::down; });
  CHECK_FALSE(state().up);
  CHECK(*state().since_ms_ago >= 500);
  TestNode returned(io, std::move(same_keys));
  connect(io, {&a, &returned});
  run_until(io, [&] { return state().health == Health::alive; });
}

TEST_CASE("links: a node that the others removed finds itself refused", "[bus]") {
  asio::io_context io;
  TestNode a(io, NodeKeys::generate(), test::fast_options());
  TestNode b(io, NodeKeys::generate(), test::fast_options());
  connect(io, {&a, &b});
  CHECK_FALSE(a.links().state(b.id()).refuses);
  b.links().set_members({b.member()});
  run_until(io, [&] { return a.links().state(b.id()).refuses; });
  CHECK_FALSE(a.links().state(b.id()).up);
  b.links().set_members({a.member(), b.member()});
  run_until(io, [&] { return a.is_up(b); });
  CHECK_FALSE(a.links().state(b.id()).refuses);
}

TEST_CASE("links: stopping ends the calls under way", "[bus]") {
  asio::io_context io;
  TestNode a(io);
  TestNode b(io);
  b.answer = [&io](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    asio::steady_timer never(io, std::chrono::hours(1));
    co_await never.async_wait(asio::use_awaitable);
    co_return PeerAnswer{};
  };
  connect(io, {&a, &b});
  std::optional<Errc> code;
  asio::co_spawn(io, a.links().call(b.id(), small_request(), {}, std::chrono::hours(1)),
                 [&](std::exception_ptr, Result<PeerAnswer> answer) {
                   code = answer ? Errc::invalid : answer.error().code;
                 });
  run_until(io, [&] { return b.callers.size() == 1; });
  a.stop();
  run_until(io, [&] { return code.has_value(); });
  CHECK(code == Errc::io);
}

TEST_CASE("links: a taken address is an error with advice", "[bus]") {
  asio::io_context io;
  TestNode a(io);
  TestNode b(io);
  auto options = test::calm_options();
  options.listen = a.links().endpoint();
  auto context = BusContext::open();
  REQUIRE(context);
  const auto keys = NodeKeys::generate();
  const auto started = ZmqLinks::start(io, *context, keys, options, a);
  REQUIRE_FALSE(started);
  CHECK(started.error().code == Errc::io);
  CHECK_THAT(started.error().what, Catch::Contains("--listen") && Catch::Contains(options.listen));
}

TEST_CASE("links: one peer has only so many requests answered at once", "[bus]") {
  asio::io_context io;
  auto options = test::calm_options();
  options.requests_per_peer_max = 4;
  TestNode a(io);
  TestNode b(io, NodeKeys::generate(), options);
  b.answer = [&io](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    asio::steady_timer never(io, std::chrono::hours(1));
    co_await never.async_wait(asio::use_awaitable);
    co_return PeerAnswer{};
  };
  connect(io, {&a, &b});
  for (int i = 0; i < 4; ++i)
    call_and_forget(io, a, b, {});
  run_until(io, [&] { return b.callers.size() == 4; });
  const auto answer = run(io, a.links().call(b.id(), small_request(), {}, long_time));
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Errc::busy);
}
