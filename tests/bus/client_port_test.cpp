// The client port over real ipc sockets, spoken to by plain ZeroMQ.
#include "bus/client_port.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>
#include <zmq.hpp>

#include "bus/codec.hpp"
#include "tests/bus/fake_node.hpp"

using namespace zerodb;
using test::FakeNode;
using test::TempDir;

namespace {

using Frames = std::vector<Bytes>;

/// A client of few words, as any language might write it.
class Plain {
 public:
  Plain(const FakeNode& node, zmq::socket_type type) : context_(1), socket_(context_, type) {
    socket_.set(zmq::sockopt::linger, 0);
    socket_.set(zmq::sockopt::rcvtimeo, 20'000);
    socket_.set(zmq::sockopt::rcvhwm, 1);
    socket_.connect(node.endpoint());
  }

  void send(const Frames& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      zmq::message_t message(frames[i].data(), frames[i].size());
      socket_.send(message,
                   i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
    }
  }

  Frames receive() {
    Frames frames;
    for (bool more = true; more;) {
      zmq::message_t message;
      if (!socket_.recv(message)) return {};
      more = message.more();
      const auto* data = message.data<std::uint8_t>();
      frames.emplace_back(data, data + message.size());
    }
    return frames;
  }

  /// The error that comes next, and the id it names.
  std::pair<Error, std::uint64_t> receive_error() {
    const auto frames = receive();
    REQUIRE(frames.size() == 2);
    const auto reply = codec::decode_client_reply(frames[0]);
    REQUIRE(reply);
    REQUIRE_FALSE(reply->message);
    return {reply->message.error(), reply->id};
  }

 private:
  zmq::context_t context_;
  zmq::socket_t socket_;
};

Bytes stat_of(std::uint64_t id, std::string key) {
  return codec::encode(id, client::Request(client::Stat{.key = std::move(key)}));
}

bool is_stat_reply(const Bytes& header, std::uint64_t id) {
  const auto reply = codec::decode_client_reply(header);
  return reply && reply->id == id && reply->message &&
         std::holds_alternative<client::ObjectInfo>(*reply->message);
}

struct Serving {
  FakeNode node;
  explicit Serving(test::FakeNodeOptions options = {}) : node(options) {
    node.look([&] { node.objects["k"] = {1, 2, 3}; });
  }
};

/// A port that is only tried to be opened.
struct NoHandler : ClientHandler {
  Task<Result<ClientAnswer>> on_client_request(ClientId, ClientIdentity, client::Request,
                                               Payload) override {
    co_return fail(Errc::denied, "");
  }
  void on_client_gone(ClientId) override {}
};

Status opened_on(const std::filesystem::path& path) {
  asio::io_context io;
  auto context = BusContext::open().value();
  NoHandler handler;
  auto port = ClientPort::start(io, context, {.endpoint = "ipc://" + path.string()}, handler);
  if (!port) return fail(port.error());
  (*port)->stop();
  return {};
}

}  // namespace

TEST_CASE("client port: a REQ is answered behind its empty frame", "[bus]") {
  Serving serving;
  Plain client(serving.node, zmq::socket_type::req);
  for (std::uint64_t id = 1; id <= 3; ++id) {
    client.send({stat_of(id, "k")});
    const auto reply = client.receive();
    REQUIRE(reply.size() == 2);
    CHECK(is_stat_reply(reply[0], id));
    CHECK(reply[1].empty());
  }
}

TEST_CASE("client port: a DEALER is answered as it asks, with or without an empty frame", "[bus]") {
  Serving serving;
  Plain client(serving.node, zmq::socket_type::dealer);
  client.send({stat_of(1, "k"), {}});
  const auto bare = client.receive();
  REQUIRE(bare.size() == 2);
  CHECK(is_stat_reply(bare[0], 1));
  client.send({{}, stat_of(2, "k")});
  const auto delimited = client.receive();
  REQUIRE(delimited.size() == 3);
  CHECK(delimited[0].empty());
  CHECK(is_stat_reply(delimited[1], 2));
}

TEST_CASE("client port: payloads travel both ways unchanged", "[bus]") {
  FakeNode node;
  Plain client(node, zmq::socket_type::req);
  const Bytes content(40'000, 7);
  client.send({codec::encode(1, client::Put{.key = "p", .size = content.size()}), content});
  REQUIRE(client.receive().size() == 2);
  client.send({codec::encode(2, client::Get{.key = "p"})});
  const auto reply = client.receive();
  REQUIRE(reply.size() == 2);
  CHECK(reply[1] == content);
}

TEST_CASE("client port: malformed messages are answered and the connection stays", "[bus]") {
  Serving serving;
  Plain client(serving.node, zmq::socket_type::dealer);
  const auto answered = [&](const Frames& frames) {
    client.send(frames);
    auto [error, id] = client.receive_error();
    CHECK(error.code == Errc::invalid);
    return std::pair(error.what, id);
  };
  CHECK_THAT(answered({stat_of(1, "k"), {}, {1}}).first, Catch::Contains("3 frames came"));
  CHECK_THAT(answered({stat_of(1, "k"), {}, {}, {}, {}, {}, {}, {}, {}, {}}).first,
             Catch::Contains("frames came"));
  CHECK_THAT(answered({Bytes(1)}).first, Catch::Contains("not a map"));
  // {"v": 1, "t": "fly", "id": 5}
  const auto unknown = answered({*from_hex("83a17601a174a3666c79a2696405")});
  CHECK_THAT(unknown.first, Catch::Contains("'fly' is unknown"));
  CHECK(unknown.second == 5);
  // {"v": 9, "t": "status", "id": 6}
  const auto version = answered({*from_hex("83a17609a174a6737461747573a2696406")});
  CHECK_THAT(version.first, Catch::Contains("version 9"));
  CHECK(version.second == 6);
  client.send({stat_of(7, "k")});
  CHECK(is_stat_reply(client.receive().at(0), 7));
}

TEST_CASE("client port: a REQ is told of what is malformed, too, and goes on", "[bus]") {
  Serving serving;
  Plain client(serving.node, zmq::socket_type::req);
  client.send({stat_of(1, "k"), {}, {1}});
  CHECK_THAT(client.receive_error().first.what, Catch::Contains("3 frames came"));
  client.send({stat_of(2, "k")});
  CHECK(is_stat_reply(client.receive().at(0), 2));
}

TEST_CASE("client port: a request that finds no memory is answered, and holds no room", "[bus]") {
  Serving serving({.requests_per_client_max = 2});
  serving.node.look([&] { serving.node.throwing = "stat"; });
  Plain client(serving.node, zmq::socket_type::dealer);
  for (std::uint64_t id = 1; id <= 5; ++id) {
    client.send({stat_of(id, "k")});
    const auto [error, of] = client.receive_error();
    CHECK(error.code == Errc::io);
    CHECK(of == id);
  }
}

TEST_CASE("client port: an oversized frame ends its connection and no other", "[bus]") {
  Serving serving;
  Plain rude(serving.node, zmq::socket_type::dealer);
  Plain polite(serving.node, zmq::socket_type::dealer);
  rude.send({stat_of(1, "k")});
  CHECK(is_stat_reply(rude.receive().at(0), 1));
  rude.send({codec::encode(2, client::Put{.key = "p"}), Bytes(3 << 20)});
  CHECK(serving.node.eventually([&] { return serving.node.gone.size() == 1; }));
  polite.send({stat_of(3, "k")});
  CHECK(is_stat_reply(polite.receive().at(0), 3));
  CHECK(serving.node.look([&] { return serving.node.puts.empty(); }));
}

TEST_CASE("client port: requests of one client start in the order they were sent", "[bus]") {
  Serving serving;
  Plain client(serving.node, zmq::socket_type::dealer);
  std::vector<std::string> sent;
  for (std::uint64_t id = 0; id < 100; ++id) {
    const bool even = id % 3 == 0;
    sent.emplace_back(even ? "stat" : "status");
    client.send({even ? stat_of(id, "k") : codec::encode(id, client::Status{})});
  }
  for (int i = 0; i < 100; ++i)
    CHECK(client.receive().size() == 2);
  CHECK(serving.node.look([&] { return serving.node.started; }) == sent);
}

TEST_CASE("client port: a client with too many requests at once is told to wait", "[bus]") {
  Serving serving({.requests_per_client_max = 4});
  serving.node.look([&] { serving.node.held = "stat"; });
  Plain client(serving.node, zmq::socket_type::dealer);
  for (std::uint64_t id = 1; id <= 5; ++id)
    client.send({stat_of(id, "k")});
  const auto [error, id] = client.receive_error();
  CHECK(error.code == Errc::busy);
  CHECK(id == 5);
  serving.node.release();
  for (int i = 0; i < 4; ++i)
    CHECK(client.receive().size() == 2);
  client.send({stat_of(6, "k")});
  CHECK(is_stat_reply(client.receive().at(0), 6));
}

TEST_CASE("client port: payloads being answered are bounded in bytes", "[bus]") {
  Serving serving({.client_bytes_max = 100'000});
  serving.node.look([&] { serving.node.held = "put"; });
  Plain client(serving.node, zmq::socket_type::dealer);
  const Bytes content(60'000);
  client.send({codec::encode(1, client::Put{.key = "a", .size = content.size()}), content});
  client.send({codec::encode(2, client::Put{.key = "b", .size = content.size()}), content});
  const auto [error, id] = client.receive_error();
  CHECK(error.code == Errc::busy);
  CHECK(id == 2);
  serving.node.release();
  CHECK(client.receive().size() == 2);
}

TEST_CASE("client port: a client that never reads holds up neither memory nor others", "[bus]") {
  const client::Request request =
      GENERATE(client::Request(client::Get{.key = "big"}), client::Request(client::List{}));
  Serving serving({.client_bytes_max = 2 << 20});
  auto& node = serving.node;
  node.look([&] {
    node.objects["big"] = Bytes(65'000);
    for (char last = 'a'; last <= 'z'; ++last)  // so that a listing is as long
      node.objects[std::string(1000, 'k') + last] = Bytes(1);
    for (char last = 'a'; last <= 'z'; ++last)
      node.objects[std::string(1000, 'l') + last] = Bytes(1);
  });
  Plain deaf(node, zmq::socket_type::dealer);
  constexpr std::uint64_t requests = 2000;
  for (std::uint64_t id = 1; id <= requests; ++id) {
    deaf.send({codec::encode(id, request)});
  }
  Plain other(node, zmq::socket_type::dealer);
  other.send({stat_of(1, "k")});
  CHECK(is_stat_reply(other.receive().at(0), 1));
  // Of 130 MB asked for, about the limit was made, and what was on its way when it was reached.
  CHECK(node.look([&] { return node.started.size(); }) < 400);
}

TEST_CASE("client port: a client that disconnects is reported gone, and only it", "[bus]") {
  Serving serving;
  auto& node = serving.node;
  Plain stays(node, zmq::socket_type::dealer);
  stays.send({stat_of(1, "k")});
  CHECK(stays.receive().size() == 2);
  const auto first = node.look([&] { return *node.seen.begin(); });
  {
    Plain leaves(node, zmq::socket_type::dealer);
    leaves.send({stat_of(1, "k")});
    CHECK(leaves.receive().size() == 2);
  }
  CHECK(node.eventually([&] { return !node.gone.empty(); }));
  node.look([&] {
    CHECK(node.gone.size() == 1);
    CHECK(node.gone.front() != first);
  });
  stays.send({stat_of(2, "k")});
  CHECK(is_stat_reply(stays.receive().at(0), 2));
}

TEST_CASE("client port: a client that vanishes while it is answered is reported gone", "[bus]") {
  Serving serving;
  auto& node = serving.node;
  node.look([&] { node.held = "stat"; });
  {
    Plain leaves(node, zmq::socket_type::dealer);
    leaves.send({stat_of(1, "k")});
    CHECK(node.eventually([&] { return node.started.size() == 1; }));
  }
  CHECK(node.eventually([&] { return node.gone.size() == 1; }));
  node.release();
  // What that request may have opened goes, too.
  CHECK(node.eventually([&] { return node.gone.size() == 2; }));
  Plain other(node, zmq::socket_type::dealer);
  other.send({stat_of(1, "k")});
  CHECK(is_stat_reply(other.receive().at(0), 1));
}

TEST_CASE("client port: only the user who runs the node may connect", "[bus]") {
  FakeNode node;
  struct stat about {};
  REQUIRE(::stat((node.folder() / "client.sock").c_str(), &about) == 0);
  CHECK((about.st_mode & 0777) == 0600);
}

TEST_CASE("client port: a socket file left behind is replaced, any other file is not", "[bus]") {
  const TempDir folder;
  const auto path = folder / "client.sock";
  {
    zmq::context_t context;
    zmq::socket_t left(context, zmq::socket_type::router);
    left.bind("ipc://" + path.string());
    std::filesystem::create_hard_link(path, folder / "kept");
  }
  std::filesystem::rename(folder / "kept", path);
  REQUIRE(std::filesystem::is_socket(path));
  CHECK(opened_on(path));
  std::ofstream(path) << "precious";
  const auto refused = opened_on(path);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::invalid);
  CHECK_THAT(refused.error().what, Catch::Contains("is in the way"));
  CHECK(std::filesystem::file_size(path) == 8);
}

TEST_CASE("client port: a path too long for a socket is refused with what to do", "[bus]") {
  const TempDir folder;
  const auto refused = opened_on(folder / std::string(120, 'x'));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::invalid);
  CHECK_THAT(refused.error().what, Catch::Contains("shorter path"));
  const auto missing = opened_on(folder / "no" / "client.sock");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::io);
}
