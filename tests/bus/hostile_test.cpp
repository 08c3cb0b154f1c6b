// What strangers, invites and members that misbehave get from a node's links.
#include "tests/bus/raw_peer.hpp"

using namespace zerodb;
using test::RawPeer;
using test::run;
using test::run_until;
using test::TestNode;

namespace {

Member member_of(const CurvePair& keys) {
  return {.node = keys.public_key, .sign_key = {}, .address = {}};
}

/// A node whose only other member is `keys`, which speaks for itself.
std::unique_ptr<TestNode> node_with(asio::io_context& io, const CurvePair& keys,
                                    const ZmqLinksOptions& options = test::calm_options()) {
  auto node = std::make_unique<TestNode>(io, NodeKeys::generate(), options);
  node->links().set_members({node->member(), member_of(keys)});
  return node;
}

/// A node whose other members are an honest one and `keys`, which speaks for itself.
struct BesideAnother {
  BesideAnother(asio::io_context& io, const CurvePair& keys,
                const ZmqLinksOptions& options = test::calm_options())
      : node(io, NodeKeys::generate(), options), other(io) {
    const std::vector<Member> members{node.member(), other.member(), member_of(keys)};
    node.links().set_members(members);
    other.links().set_members(members);
    run_until(io, [&] { return other.is_up(node); });
  }

  /// The honest one is served. As the router takes from each in turn, what was sent before has been
  /// taken then.
  void await_turn(asio::io_context& io) {
    REQUIRE(run(io, other.links().call(node.id(), peer::GetChunk{}, {}, Milliseconds(5000))));
  }

  TestNode node;
  TestNode other;
};

/// What a handler does that has to wait for something.
auto after_a_moment(asio::io_context& io) {
  return [&io](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    asio::steady_timer timer(io, Milliseconds(1));
    co_await timer.async_wait(asio::use_awaitable);
    co_return PeerAnswer{.message = peer::Ok{}, .payload = {}};
  };
}

ZmqLinksOptions with_short_bans() {
  auto options = test::calm_options();
  options.ban = Milliseconds(1500);
  return options;
}

/// Turned away until then, and served like anybody afterwards.
void await_end_of_ban(asio::io_context& io, RawPeer& banned) {
  auto met = banned.handshake(io);
  CHECK(met == Handshake::failed);
  while (met != Handshake::accepted)
    met = banned.handshake(io);
  banned.send(1, peer::GetChunk{});
  CHECK(banned.receive(io).id == 1);
}

}  // namespace

TEST_CASE("hostile: an unknown key does not get through the handshake", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  node.links().set_members({node.member()});
  RawPeer stranger(CurvePair::generate(), node);
  stranger.send(1, peer::GetDigests{});
  CHECK(stranger.handshake(io) == Handshake::refused);
  CHECK(node.callers.empty());
}

TEST_CASE("hostile: before the members are known, nobody is turned away for good", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  const auto keys = CurvePair::generate();
  RawPeer early(keys, node);
  CHECK(early.handshake(io) == Handshake::failed);  // and libzmq tries again
  node.links().set_members({node.member(), member_of(keys)});
  early.send(7, peer::GetDigests{});
  CHECK(early.receive(io).id == 7);
}

TEST_CASE("hostile: an invite's key may join and nothing else, and only while it lives", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  const auto invite = CurvePair::generate();
  node.links().set_members({node.member()});
  node.links().set_invites({invite.public_key});
  RawPeer guest(invite, node);

  guest.send(1, peer::GetDigests{});
  const auto denied = guest.receive(io);
  REQUIRE_FALSE(denied.message);
  CHECK(denied.message.error().code == Errc::denied);
  CHECK(node.callers.empty());

  guest.send(2, peer::Join{});
  CHECK(guest.receive(io).message);
  REQUIRE(node.callers.size() == 1);
  CHECK(node.callers[0].role == Caller::Role::invite);
  CHECK(node.callers[0].key == invite.public_key);

  node.links().set_invites({});
  guest.send(3, peer::Join{});
  RawPeer late(invite, node);
  CHECK(late.handshake(io) == Handshake::refused);
  CHECK(node.callers.size() == 1);
}

TEST_CASE("hostile: an invite's key cannot listen to broadcasts", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  const auto invite = CurvePair::generate();
  node.links().set_members({node.member()});
  node.links().set_invites({invite.public_key});
  zmq::context_t context;
  zmq::socket_t ear(context, zmq::socket_type::sub);
  auto watch = HandshakeWatch::start(context, ear);
  REQUIRE(watch);
  REQUIRE(set_limits(ear, {}));
  REQUIRE(use_curve(ear, invite, node.id()));
  REQUIRE(connect_to(ear, node.links().broadcast_endpoint()));
  std::optional<Handshake> event;
  run_until(io, [&] { return (event = watch->next()).has_value(); });
  CHECK(*event == Handshake::refused);
}

TEST_CASE("hostile: a question for a proof with a wrong nonce or wrong indices is refused",
          "[bus]") {
  asio::io_context io;
  const auto keys = CurvePair::generate();
  const auto node = node_with(io, keys);
  RawPeer peer(keys, *node);
  const auto good = codec::encode(4, peer::Request(peer::Prove{.indices = {1, 2}}));
  const auto refused_at = [&](const Bytes& part, const Bytes& lie, const std::string& field) {
    auto header = good;
    const auto at = std::search(header.begin(), header.end(), part.begin(), part.end());
    REQUIRE(at != header.end());
    const auto offset = at - header.begin();
    header.erase(at, at + static_cast<std::ptrdiff_t>(part.size()));
    header.insert(header.begin() + offset, lie.begin(), lie.end());
    peer.send({std::string(as_text(header)), ""});
    const auto answer = peer.receive(io);
    CHECK(answer.id == 4);
    REQUIRE_FALSE(answer.message);
    CHECK(answer.message.error().code == Errc::invalid);
    CHECK_THAT(answer.message.error().what, Catch::Contains(field));
  };
  Bytes nonce{'n', 'o', 'n', 'c', 'e', 0xc4, 32};
  nonce.resize(nonce.size() + 32);
  refused_at(nonce, {'n', 'o', 'n', 'c', 'e', 0xc4, 3, 1, 2, 3}, "nonce");
  const Bytes indices{0x92, 1, 2};
  refused_at(indices, {0x92, 1, 0xff}, "indices");       // a negative one
  refused_at(indices, {0x92, 1, 0xa1, 'x'}, "indices");  // text
  refused_at(indices, {0x02}, "indices");                // no list
  CHECK(node->callers.empty());
  peer.send({std::string(as_text(good)), ""});
  CHECK(peer.receive(io).id == 4);
  CHECK(node->callers.size() == 1);
}

TEST_CASE("hostile: malformed messages are dropped or answered, and the next one is served",
          "[bus]") {
  asio::io_context io;
  const auto keys = CurvePair::generate();
  const auto node = node_with(io, keys);
  RawPeer peer(keys, *node);
  SECTION("one frame") {
    peer.send({"hello"});
  }
  SECTION("three frames") {
    peer.send({"a", "b", "c"});
  }
  SECTION("a hundred frames") {
    peer.send(std::vector<std::string>(100, "x"));
  }
  SECTION("empty frames") {
    peer.send({"", ""});
  }
  SECTION("garbage") {
    peer.send({std::string("\xdd\x7f\xff\xff\xff", 5), "x"});
  }
  SECTION("an endless value") {
    peer.send({std::string("\xc9\xff\xff\xff\xff", 5), "x"});
  }
  SECTION("a header beyond the limit") {
    peer.send({std::string((1 << 20) + 512, '\x81'), ""});
  }
  peer.send(5, peer::GetDigests{});
  CHECK(peer.receive(io).id == 5);
  CHECK(node->callers.size() == 1);
}

TEST_CASE("hostile: who sends nonsense without pause is banned for a while, and others are not",
          "[bus]") {
  const auto nonsense =
      GENERATE(std::vector<std::string>{"hello"}, std::vector<std::string>{"no", "request"});
  asio::io_context io;
  const auto keys = CurvePair::generate();
  BesideAnother mesh(io, keys, with_short_bans());
  RawPeer peer(keys, mesh.node);
  RawPeer second(keys, mesh.node);  // what it says is not heard either
  REQUIRE(peer.handshake(io) == Handshake::accepted);
  REQUIRE(second.handshake(io) == Handshake::accepted);
  for (int i = 0; i < 30; ++i)
    peer.send(nonsense);
  CHECK(peer.handshake(io) == Handshake::cut);
  second.send(1, peer::GetChunk{});
  CHECK(second.handshake(io) == Handshake::cut);
  CHECK(mesh.node.callers.empty());
  mesh.await_turn(io);
  await_end_of_ban(io, peer);
}

TEST_CASE("hostile: who sends requests that are dear to read without pause is banned", "[bus]") {
  auto header = std::string(as_text(codec::encode(1, peer::Request(peer::GetManifest{}))));
  header.front() = static_cast<char>(header.front() + 1);  // a map of one more
  header += "\xa2zz\xdc\x1f";                              // 7,936 numbers
  header += std::string(1 + 7'936, '\0');
  REQUIRE(codec::decode_peer_request(as_bytes(header)));
  asio::io_context io;
  const auto keys = CurvePair::generate();
  BesideAnother mesh(io, keys, with_short_bans());
  auto peer = std::make_unique<RawPeer>(keys, mesh.node);
  REQUIRE(peer->handshake(io) == Handshake::accepted);
  for (int i = 0; i < 5'000; ++i)
    peer->send({header, ""});
  CHECK(peer->handshake_while_reading(io) == Handshake::cut);
  mesh.await_turn(io);
  peer = std::make_unique<RawPeer>(keys, mesh.node);  // without what is still to be sent
  await_end_of_ban(io, *peer);
}

TEST_CASE("hostile: a request of an unknown kind is answered as invalid", "[bus]") {
  asio::io_context io;
  const auto keys = CurvePair::generate();
  const auto node = node_with(io, keys);
  RawPeer peer(keys, *node);
  auto header = std::string(as_text(codec::encode(9, peer::Request(peer::GetDigests{}))));
  const auto name = header.find("get_digests");
  REQUIRE(name != std::string::npos);
  header[name] = 'X';
  peer.send({header, ""});
  const auto reply = peer.receive(io);
  CHECK(reply.id == 9);
  REQUIRE_FALSE(reply.message);
  CHECK(reply.message.error().code == Errc::invalid);
}

TEST_CASE("hostile: who sends an oversized frame is cut off, and others are not", "[bus]") {
  asio::io_context io;
  const auto keys = CurvePair::generate();
  BesideAnother mesh(io, keys);
  auto& node = mesh.node;
  RawPeer peer(keys, node);
  CHECK(peer.handshake(io) == Handshake::accepted);
  peer.send({"x", std::string((1 << 20) + (1 << 16), 'x')});
  CHECK(peer.handshake(io) == Handshake::cut);
  CHECK(node.callers.empty());
  mesh.await_turn(io);
}

TEST_CASE("hostile: who subscribes to more than a topic is cut off, and others are not", "[bus]") {
  asio::io_context io;
  const auto keys = CurvePair::generate();
  BesideAnother mesh(io, keys);
  auto& node = mesh.node;
  zmq::context_t context;
  zmq::socket_t ear(context, zmq::socket_type::sub);
  auto watch = HandshakeWatch::start(context, ear);
  REQUIRE(watch);
  REQUIRE(set_limits(ear, {}));
  REQUIRE(use_curve(ear, keys, node.id()));
  REQUIRE(connect_to(ear, node.links().broadcast_endpoint()));
  const auto next = [&] {
    std::optional<Handshake> event;
    run_until(io, [&] { return (event = watch->next()).has_value(); });
    return *event;
  };
  CHECK(next() == Handshake::accepted);
  ear.set(zmq::sockopt::subscribe, std::string(4096, 'x'));
  CHECK(next() == Handshake::cut);

  run_until(io, [&] {
    node.links().publish({}, broadcast::Get{});
    return !mesh.other.broadcasts.empty();
  });
}

TEST_CASE("hostile: what is refused is told so only so often", "[bus]") {
  asio::io_context io;
  const auto keys = CurvePair::generate();
  BesideAnother mesh(io, keys);
  RawPeer peer(keys, mesh.node);
  auto unknown = std::string(as_text(codec::encode(9, peer::Request(peer::GetDigests{}))));
  unknown[unknown.find("get_digests")] = 'X';
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 1'000; ++i)
    peer.send({unknown, ""});
  peer.send(10, peer::GetChunk{});
  std::size_t refused = 0;
  while (peer.receive(io).id != 10)
    ++refused;
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  CHECK(refused >= 100);
  CHECK(static_cast<double>(refused) <= 101 + 100 * took.count());
}

TEST_CASE("hostile: what one peer asks waits its turn, and greetings do not", "[bus]") {
  const auto [request, most] =
      GENERATE(std::pair<peer::Request, std::size_t>(
                   peer::GetEntries{.partitions = {1}, .owner = {}, .after = {}}, 1),
               std::pair<peer::Request, std::size_t>(peer::Prove{.indices = {0}}, 2),
               std::pair<peer::Request, std::size_t>(peer::GetManifest{}, 8),
               std::pair<peer::Request, std::size_t>(peer::PutAbort{}, 100));
  asio::io_context io;
  const auto keys = CurvePair::generate();
  const auto node = node_with(io, keys);
  bool ended = false;
  node->answer = [&](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    asio::steady_timer timer(io);
    while (!ended) {
      timer.expires_after(Milliseconds(1));
      co_await timer.async_wait(asio::use_awaitable);
    }
    co_return PeerAnswer{.message = peer::Ok{}, .payload = {}};
  };
  RawPeer peer(keys, *node);
  for (std::uint64_t id = 1; id <= 100; ++id)
    peer.send(id, request);
  peer.send(101, peer::Hello{});
  CHECK(peer.receive(io).id == 101);
  CHECK(node->callers.size() == most);
  ended = true;
  std::set<std::uint64_t> answered;
  while (answered.size() < 100)
    answered.insert(peer.receive(io).id);
  CHECK(node->callers.size() == 100);
}

TEST_CASE("hostile: who greets without pause is answered so often, then banned", "[bus]") {
  asio::io_context io;
  const auto keys = CurvePair::generate();
  BesideAnother mesh(io, keys, with_short_bans());
  auto peer = std::make_unique<RawPeer>(keys, mesh.node);
  REQUIRE(peer->handshake(io) == Handshake::accepted);
  for (std::uint64_t id = 1; id <= 100; ++id)
    peer->send(id, peer::Hello{});
  for (std::uint64_t id = 1; id <= 100; ++id)
    CHECK(peer->receive(io).id == id);
  for (std::uint64_t id = 101; id <= 1'000; ++id)
    peer->send(id, peer::Hello{});
  CHECK(peer->handshake_while_reading(io) == Handshake::cut);
  mesh.await_turn(io);
  peer = std::make_unique<RawPeer>(keys, mesh.node);  // without what is still to be sent
  await_end_of_ban(io, *peer);
}

TEST_CASE("hostile: who asks more than it may is served slowly, and others are not", "[bus]") {
  asio::io_context io;
  auto options = test::calm_options();
  options.requests_per_peer_max = 128;
  const auto keys = CurvePair::generate();
  BesideAnother mesh(io, keys, options);
  mesh.node.answer = after_a_moment(io);
  RawPeer peer(keys, mesh.node);
  const auto handled = [&] {
    return std::ranges::count(mesh.node.callers, keys.public_key, &Caller::key);
  };
  const auto begin = std::chrono::steady_clock::now();
  std::size_t refused = 0;                         // and told so; others were dropped
  for (std::uint64_t id = 1; id <= 2'000; ++id) {  // more would be a reason for a ban
    if (id % 200 != 0) {
      peer.send(id, peer::GetManifest{});
      continue;
    }
    mesh.await_turn(io);
    peer.send(id, peer::Hello{});
    for (auto reply = peer.receive(io); reply.id != id; reply = peer.receive(io))
      refused += reply.message ? 0 : 1;
  }
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
  CHECK(handled() > 128);
  CHECK(static_cast<double>(handled()) <= 128 + 501 + 500 * took.count());
  CHECK(refused >= 100);
  CHECK(static_cast<double>(refused) <= 101 + 100 * took.count());
}

TEST_CASE("hostile: who asks on without pause, whatever is refused, is banned", "[bus]") {
  asio::io_context io;
  auto options = with_short_bans();
  options.requests_per_peer_max = 128;
  const auto keys = CurvePair::generate();
  BesideAnother mesh(io, keys, options);
  mesh.node.answer = after_a_moment(io);
  auto peer = std::make_unique<RawPeer>(keys, mesh.node);
  REQUIRE(peer->handshake(io) == Handshake::accepted);
  for (std::uint64_t id = 1; id <= 20'000; ++id)
    peer->send(id, peer::GetManifest{});
  CHECK(peer->handshake_while_reading(io) == Handshake::cut);
  mesh.await_turn(io);
  peer = std::make_unique<RawPeer>(keys, mesh.node);  // without what is still to be sent
  await_end_of_ban(io, *peer);
}

TEST_CASE("hostile: a peer that never reads holds only so many bytes, and delays nobody", "[bus]") {
  asio::io_context io;
  auto options = test::calm_options();
  options.peer_bytes_max = 8 << 20;
  const auto keys = CurvePair::generate();
  BesideAnother mesh(io, keys, options);
  auto& node = mesh.node;

  auto alive = std::make_shared<int>();  // one more holder for each answer still in memory
  node.answer = [&](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    auto bytes = std::make_shared<std::pair<std::shared_ptr<int>, Bytes>>(alive, Bytes(1 << 20));
    const ByteView view(bytes->second);
    co_return PeerAnswer{.message = peer::Ok{}, .payload = Payload(std::move(bytes), view)};
  };
  RawPeer deaf(keys, node);
  for (std::uint64_t id = 1; id <= 200; ++id) {
    deaf.send(id, peer::GetChunk{});
    mesh.await_turn(io);
  }
  CHECK(alive.use_count() - 1 <= 8);
  const auto handled = std::ranges::count(node.callers, keys.public_key, &Caller::key);
  CHECK(handled >= 8);
  CHECK(handled <= 100);  // the others were refused before any work
}

TEST_CASE("hostile: a peer that never reads is not answered any more", "[bus]") {
  asio::io_context io;
  auto options = test::calm_options();
  options.requests_per_peer_max = 16;
  const auto keys = CurvePair::generate();
  BesideAnother mesh(io, keys, options);
  auto& node = mesh.node;

  // Large, so that what the system buffers is few of these.
  const auto answer = std::make_shared<Bytes>(256 << 10);
  node.answer = [&](Caller, peer::Request, Payload) -> Task<Result<PeerAnswer>> {
    co_return PeerAnswer{.message = peer::Ok{}, .payload = Payload(answer, ByteView(*answer))};
  };
  RawPeer deaf(keys, node);
  for (std::uint64_t id = 1; id <= 300; ++id) {
    deaf.send(id, peer::GetChunk{});
    mesh.await_turn(io);
  }
  const auto handled = std::ranges::count(node.callers, keys.public_key, &Caller::key);
  CHECK(handled >= 32);
  CHECK(handled <= 150);
}
