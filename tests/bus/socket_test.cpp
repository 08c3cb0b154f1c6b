#include "bus/socket.hpp"

#include <asio/detached.hpp>
#include <asio/post.hpp>

#include "tests/support/coroutines.hpp"

using namespace zerodb;
using test::run_until;

namespace {

struct Pair {
  explicit Pair(int messages_max = 1000)
      : context(std::move(*BusContext::open({.io_threads = 1}))),
        a(*Socket::open(io, context, zmq::socket_type::pair)),
        b(*Socket::open(io, context, zmq::socket_type::pair)) {
    for (const auto& socket : {a, b}) {
      socket->zmq().set(zmq::sockopt::linger, 0);
      socket->zmq().set(zmq::sockopt::sndhwm, messages_max);
      socket->zmq().set(zmq::sockopt::rcvhwm, messages_max);
    }
    a->zmq().bind("inproc://pair");
    b->zmq().connect("inproc://pair");
  }
  ~Pair() {
    a->close();
    b->close();
  }
  asio::io_context io;
  BusContext context;
  std::shared_ptr<Socket> a;
  std::shared_ptr<Socket> b;
};

std::vector<Payload> frames_of(std::initializer_list<std::string_view> texts) {
  std::vector<Payload> frames;
  for (const auto text : texts)
    frames.push_back(Payload::copy_of(as_bytes(text)));
  return frames;
}

asio::awaitable<void> count_messages(std::shared_ptr<Socket> socket, unsigned& count) {
  for (;;) {
    const auto message = co_await socket->receive();
    if (!message) co_return;
    ++count;
  }
}

asio::awaitable<void> send_messages(std::shared_ptr<Socket> socket, unsigned count) {
  const auto frames = frames_of({"header", "payload"});
  while (count > 0) {
    const bool open = co_await socket->writable();
    if (!open) co_return;
    while (count > 0 && socket->send(frames) == Sent::sent)
      --count;
  }
}

}  // namespace

TEST_CASE("socket: frames arrive as they were sent", "[bus]") {
  Pair pair;
  const std::string large(100'000, 'x');
  REQUIRE(pair.a->send(frames_of({"", "small", large})) == Sent::sent);
  const auto message = test::run(pair.io, pair.b->receive());
  REQUIRE(message);
  REQUIRE(message->frames.size() == 3);
  CHECK(message->frames[0].empty());
  CHECK(as_text(message->frames[1].view()) == "small");
  CHECK(as_text(message->frames[2].view()) == large);
  CHECK(message->user_id.empty());
}

TEST_CASE("socket: a payload is kept until it is sent, and let go then", "[bus]") {
  Pair pair;
  auto bytes = std::make_shared<const Bytes>(Bytes(1 << 20, 7));
  const std::weak_ptr<const Bytes> alive = bytes;
  const ByteView view(*bytes);
  std::vector<Payload> frames{Payload(std::move(bytes), view)};
  REQUIRE(pair.a->send(frames) == Sent::sent);
  frames.clear();
  CHECK_FALSE(alive.expired());
  auto message = test::run(pair.io, pair.b->receive());
  REQUIRE(message);
  CHECK(message->frames[0].view().data() == view.data());  // nothing was copied
  message.reset();
  CHECK(alive.expired());
}

TEST_CASE("socket: traffic both ways at once loses no wake-up", "[bus]") {
  // Small limits, so that readers and writers wait often and take each other's edges.
  Pair pair(4);
  constexpr unsigned messages = 20'000;
  unsigned at_a = 0;
  unsigned at_b = 0;
  asio::co_spawn(pair.io, count_messages(pair.a, at_a), asio::detached);
  asio::co_spawn(pair.io, count_messages(pair.b, at_b), asio::detached);
  asio::co_spawn(pair.io, send_messages(pair.a, messages), asio::detached);
  asio::co_spawn(pair.io, send_messages(pair.b, messages), asio::detached);
  run_until(pair.io, [&] { return at_a == messages && at_b == messages; });
}

TEST_CASE("socket: an arrival that a send took notice of still wakes the reader", "[bus]") {
  Pair pair;
  unsigned read = 0;
  asio::co_spawn(pair.io, count_messages(pair.b, read), asio::detached);
  pair.io.poll();  // the reader waits
  REQUIRE(pair.a->send(frames_of({"x"})) == Sent::sent);
  // libzmq looks for news now and then in a send, and the descriptor is silent after that.
  REQUIRE((pair.b->zmq().get(zmq::sockopt::events) & ZMQ_POLLIN) != 0);
  REQUIRE(pair.b->send(frames_of({"y"})) == Sent::sent);
  run_until(pair.io, [&] { return read == 1; });
}

TEST_CASE("socket: a reader that always has something to read lets others run", "[bus]") {
  Pair pair;
  unsigned read = 0;
  for (int i = 0; i < 500; ++i)
    REQUIRE(pair.a->send(frames_of({"x"})) == Sent::sent);
  asio::co_spawn(pair.io, count_messages(pair.b, read), asio::detached);
  unsigned read_before_others = 0;
  asio::post(pair.io, [&] { asio::post(pair.io, [&] { read_before_others = read; }); });
  run_until(pair.io, [&] { return read == 500; });
  CHECK(read_before_others < 500);
}

TEST_CASE("socket: a full socket says so and sends nothing", "[bus]") {
  Pair pair(2);
  const auto frames = frames_of({"header", "payload"});
  unsigned sent = 0;
  while (pair.a->send(frames) == Sent::sent)
    ++sent;
  CHECK(pair.a->send(frames) == Sent::full);
  unsigned read = 0;
  while (const auto message = pair.b->try_receive()) {
    CHECK(message->frames.size() == 2);
    ++read;
  }
  CHECK(read == sent);
}

TEST_CASE("socket: of endless frames, only the first few are kept", "[bus]") {
  Pair pair;
  const std::vector<Payload> frames(100, Payload::copy_of(as_bytes("x")));
  REQUIRE(pair.a->send(frames) == Sent::sent);
  REQUIRE(pair.a->send(frames_of({"next"})) == Sent::sent);
  const auto many = test::run(pair.io, pair.b->receive());
  REQUIRE(many);
  CHECK(many->frames.size() == Socket::frames_max);
  const auto next = test::run(pair.io, pair.b->receive());
  REQUIRE(next);
  CHECK(next->frames.size() == 1);
}

TEST_CASE("socket: closing ends the waits", "[bus]") {
  Pair pair(1);
  bool reader_ended = false;
  bool writer_ended = false;
  const auto frames = frames_of({"x"});
  while (pair.a->send(frames) == Sent::sent) {
  }
  asio::co_spawn(pair.io, pair.a->receive(),
                 [&](std::exception_ptr, std::optional<Inbound> message) {
                   CHECK_FALSE(message);
                   reader_ended = true;
                 });
  asio::co_spawn(pair.io, pair.a->writable(), [&](std::exception_ptr, bool open) {
    CHECK_FALSE(open);
    writer_ended = true;
  });
  pair.io.poll();
  REQUIRE_FALSE(reader_ended);
  REQUIRE_FALSE(writer_ended);
  pair.a->close();
  run_until(pair.io, [&] { return reader_ended && writer_ended; });
  CHECK(pair.a->send(frames) == Sent::unreachable);
  CHECK_FALSE(pair.a->try_receive());
}
