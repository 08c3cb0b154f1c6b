// The port for remote clients over real CURVE connections.
#include <asio/redirect_error.hpp>
#include <future>

#include "bus/client.hpp"
#include "bus/client_port.hpp"
#include "bus/codec.hpp"
#include "bus/curve.hpp"
#include "bus/handshake.hpp"
#include "tests/bus/test_node.hpp"
#include "tests/support/listening_socket.hpp"

using namespace zerodb;
using test::run_until;
using test::TestNode;

namespace {

/// Answers every `stat` with the key asked for, at once or when told to.
struct StatHandler : ClientHandler {
  Task<Result<ClientAnswer>> on_client_request(ClientId client, ClientIdentity identity,
                                               client::Request request, Payload) override {
    identities[client] = identity;
    const auto* stat = std::get_if<client::Stat>(&request);
    if (stat == nullptr) co_return fail(Errc::denied, "only stat here");
    started.push_back(stat->key);
    while (holding) {
      asio::error_code cancelled;
      co_await held.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
    }
    co_return ClientAnswer{client::ObjectInfo{.key = stat->key}, {}};
  }
  void on_client_gone(ClientId client) override { gone.push_back(client); }

  explicit StatHandler(asio::io_context& io) : held(io, asio::steady_timer::time_point::max()) {}
  void release() {
    holding = false;
    held.cancel();
  }

  bool holding = false;
  asio::steady_timer held;
  std::map<ClientId, ClientIdentity> identities;
  std::vector<std::string> started;
  std::vector<ClientId> gone;
};

/// A node's links with a port for remote clients beside them.
struct RemoteDesk {
  asio::io_context io;
  TestNode node{io};
  StatHandler handler{io};
  std::set<NodeId> admitted;
  std::unique_ptr<ClientPort> port;

  explicit RemoteDesk(ClientPortOptions options = {}) {
    options.endpoint = "tcp://127.0.0.1:0";
    node.links().set_members({node.member()});
    auto started = ClientPort::start_remote(io, node.context(), node.links().zap(),
                                            node.keys().curve, options, handler);
    if (!started) FAIL(started.error().what);
    port = std::move(*started);
    node.links().set_clients([this](const NodeId& key) { return admitted.contains(key); });
  }
  ~RemoteDesk() {
    port->stop();
    node.stop();
  }

  CurvePair admit() {
    auto keys = CurvePair::generate();
    admitted.insert(keys.public_key);
    return keys;
  }
};

/// A DEALER of another program.
class RemotePeer {
 public:
  RemotePeer(RemoteDesk& desk, const CurvePair& keys, const std::string& routing_id = {})
      : desk_(desk),
        socket_(context_, zmq::socket_type::dealer),
        watch_(std::move(*HandshakeWatch::start(context_, socket_))) {
    REQUIRE(set_limits(socket_, {.frame_bytes_max = -1}));
    if (!routing_id.empty()) socket_.set(zmq::sockopt::routing_id, routing_id);
    REQUIRE(use_curve(socket_, keys, desk.node.id()));
    REQUIRE(connect_to(socket_, desk.port->endpoint()));
  }

  void send(const Bytes& header, const Bytes& payload = {}) {
    REQUIRE(socket_.send(zmq::buffer(header), zmq::send_flags::sndmore));
    REQUIRE(socket_.send(zmq::buffer(payload), zmq::send_flags::none));
  }
  void stat(std::uint64_t id, const std::string& key) {
    send(codec::encode(id, client::Request(client::Stat{.key = key})));
  }

  codec::Decoded<Result<client::Reply>> receive() {
    zmq::message_t header;
    run_until(desk_.io,
              [&] { return socket_.recv(header, zmq::recv_flags::dontwait).has_value(); });
    zmq::message_t payload;
    REQUIRE(socket_.recv(payload, zmq::recv_flags::dontwait));
    auto reply = codec::decode_client_reply(as_bytes(header.to_string_view()));
    REQUIRE(reply);
    return std::move(*reply);
  }

  Handshake handshake() {
    std::optional<Handshake> event;
    run_until(desk_.io, [&] { return (event = watch_.next()).has_value(); });
    return *event;
  }

 private:
  RemoteDesk& desk_;
  zmq::context_t context_;
  zmq::socket_t socket_;
  HandshakeWatch watch_;
};

/// What a blocking client gets while the node's thread runs.
template <class Work>
auto meanwhile(RemoteDesk& desk, Work work) {
  auto done = std::async(std::launch::async, std::move(work));
  run_until(desk.io,
            [&] { return done.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  return done.get();
}

ClientCredential credential_of(const RemoteDesk& desk, const CurvePair& keys) {
  return {.name = "test",
          .endpoint = desk.port->endpoint(),
          .server = desk.node.id(),
          .keys = {keys.public_key, keys.secret.clone()}};
}

}  // namespace

TEST_CASE("remote port: a client is known by the key of its credential", "[bus]") {
  RemoteDesk desk;
  const auto keys = desk.admit();
  RemotePeer peer(desk, keys);
  peer.stat(1, "k");
  CHECK(peer.receive().message);
  REQUIRE(desk.handler.identities.size() == 1);
  CHECK(desk.handler.identities.begin()->second.credential == keys.public_key);
}

TEST_CASE("remote port: no key but a client's gets through the handshake", "[bus]") {
  RemoteDesk desk;
  RemotePeer stranger(desk, CurvePair::generate());
  stranger.stat(1, "k");
  CHECK(stranger.handshake() == Handshake::refused);
  // Members and invites have no business here.
  const auto guest = CurvePair::generate();
  desk.node.links().set_invites({guest.public_key});
  RemotePeer invited(desk, guest);
  CHECK(invited.handshake() == Handshake::refused);
  RemotePeer member(desk, desk.node.keys().curve);
  CHECK(member.handshake() == Handshake::refused);
  CHECK(desk.handler.started.empty());
}

TEST_CASE("remote port: the library says who is refused, and who is not there", "[bus]") {
  RemoteDesk desk;
  const auto connected = [&](ClientCredential credential) {
    return meanwhile(desk, [&] { return BusClient::connect(credential).map([](auto&&) {}); });
  };
  const auto keys = desk.admit();
  CHECK(connected(credential_of(desk, keys)));
  desk.admitted.clear();
  const auto revoked = connected(credential_of(desk, keys));
  REQUIRE_FALSE(revoked);
  CHECK(revoked.error().code == Errc::denied);
  CHECK_THAT(revoked.error().what, Catch::Contains("may be revoked or expired"));

  desk.admitted.insert(keys.public_key);
  auto another = credential_of(desk, keys);
  another.server = CurvePair::generate().public_key;
  const auto mistaken = connected(std::move(another));
  REQUIRE_FALSE(mistaken);
  CHECK(mistaken.error().code == Errc::denied);
  CHECK_THAT(mistaken.error().what, Catch::Contains("its key differs"));

  const test::SilentPort nobody;
  auto credential = credential_of(desk, keys);
  credential.endpoint = "tcp://127.0.0.1:" + std::to_string(nobody.port());
  const auto unreachable = BusClient::connect(credential).map([](auto&&) {});
  REQUIRE_FALSE(unreachable);
  CHECK(unreachable.error().code == Errc::io);
  CHECK_THAT(unreachable.error().what, Catch::Contains("cannot reach the node at tcp://"));
}

TEST_CASE("remote port: an oversized frame ends its connection and no other", "[bus]") {
  RemoteDesk desk;
  const auto keys = desk.admit();
  RemotePeer rude(desk, keys);
  RemotePeer polite(desk, keys);
  rude.stat(1, "k");
  CHECK(rude.receive().message);
  rude.send(codec::encode(2, client::Request(client::Put{.key = "p"})), Bytes(3 << 20));
  run_until(desk.io, [&] { return desk.handler.gone.size() == 1; });
  polite.stat(3, "k");
  CHECK(polite.receive().id == 3);
  CHECK(desk.handler.gone.size() == 1);
}

TEST_CASE("remote port: connections with one credential share its limits", "[bus]") {
  RemoteDesk desk({.requests_per_client_max = 2});
  const auto keys = desk.admit();
  desk.handler.holding = true;
  RemotePeer one(desk, keys);
  RemotePeer two(desk, keys);
  RemotePeer other(desk, desk.admit());
  one.stat(1, "a");
  two.stat(2, "b");
  other.stat(3, "c");
  run_until(desk.io, [&] { return desk.handler.started.size() == 3; });
  two.stat(4, "d");
  const auto refused = two.receive();
  CHECK(refused.id == 4);
  REQUIRE_FALSE(refused.message);
  CHECK(refused.message.error().code == Errc::busy);
  desk.handler.release();
  CHECK(one.receive().id == 1);
  CHECK(two.receive().id == 2);
  CHECK(other.receive().id == 3);
}

TEST_CASE("remote port: one credential cannot have all connections", "[bus]") {
  RemoteDesk desk({.connections_per_client_max = 2});
  const auto keys = desk.admit();
  auto first = std::make_unique<RemotePeer>(desk, keys);
  RemotePeer second(desk, keys);
  RemotePeer third(desk, keys);
  for (auto* peer : {first.get(), &second}) {
    peer->stat(1, "k");
    CHECK(peer->receive().message);
  }
  third.stat(1, "k");
  const auto refused = third.receive();
  REQUIRE_FALSE(refused.message);
  CHECK(refused.message.error().code == Errc::busy);
  RemotePeer other(desk, desk.admit());
  other.stat(1, "k");
  CHECK(other.receive().message);
  first.reset();
  run_until(desk.io, [&] { return desk.handler.gone.size() == 1; });
  third.stat(2, "k");
  CHECK(third.receive().message);
}

TEST_CASE("remote port: above the rate requests wait in order, then get busy", "[bus]") {
  RemoteDesk desk({.requests_per_client_max = 6, .requests_per_s_max = 5});
  const auto keys = desk.admit();
  RemotePeer peer(desk, keys);
  std::vector<std::string> sent;
  const auto start = std::chrono::steady_clock::now();
  // A second's worth and one more pass at once, six wait, the rest is too much.
  for (std::uint64_t id = 1; id <= 6; ++id)
    peer.stat(id, sent.emplace_back("k" + std::to_string(id)));
  for (std::uint64_t id = 1; id <= 6; ++id)
    CHECK(peer.receive().id == id);
  for (std::uint64_t id = 7; id <= 13; ++id)
    peer.stat(id, sent.emplace_back("k" + std::to_string(id)));
  const auto refused = peer.receive();
  CHECK(refused.id == 13);
  REQUIRE_FALSE(refused.message);
  CHECK(refused.message.error().code == Errc::busy);
  sent.pop_back();
  // Another client does not wait with it.
  RemotePeer other(desk, desk.admit());
  other.stat(1, "o");
  CHECK(other.receive().message);
  CHECK(desk.handler.started.back() == "o");
  std::erase(desk.handler.started, "o");
  for (std::uint64_t id = 7; id <= 12; ++id)
    CHECK(peer.receive().id == id);
  CHECK(desk.handler.started == sent);
  CHECK(std::chrono::steady_clock::now() - start > std::chrono::milliseconds(1000));
}

TEST_CASE("remote port: a routing id says nothing of who a client is", "[bus]") {
  RemoteDesk desk;
  const auto first_keys = desk.admit();
  const auto second_keys = desk.admit();
  desk.handler.holding = true;
  auto first = std::make_unique<RemotePeer>(desk, first_keys, "same");
  first->stat(1, "of the first");
  run_until(desk.io, [&] { return desk.handler.started.size() == 1; });
  first.reset();
  RemotePeer second(desk, second_keys, "same");
  second.stat(2, "of the second");
  run_until(desk.io, [&] { return desk.handler.started.size() == 2; });
  desk.handler.release();
  // The answer to the first is for nobody.
  CHECK(second.receive().id == 2);
  CHECK(desk.handler.identities.size() == 2);
  CHECK_FALSE(desk.handler.gone.empty());
}

TEST_CASE("remote port: ports that share a handler have clients of distinct numbers", "[bus]") {
  RemoteDesk desk;
  auto second = ClientPort::start_remote(desk.io, desk.node.context(), desk.node.links().zap(),
                                         desk.node.keys().curve, {.endpoint = "tcp://127.0.0.1:0"},
                                         desk.handler);
  REQUIRE(second);
  const auto keys = desk.admit();
  RemotePeer here(desk, keys);
  here.stat(1, "k");
  CHECK(here.receive().message);
  std::swap(desk.port, *second);
  RemotePeer there(desk, keys);
  there.stat(1, "k");
  CHECK(there.receive().message);
  CHECK(desk.handler.identities.size() == 2);
  (*second)->stop();
}
