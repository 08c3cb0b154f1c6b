// Messages that are none, or that nobody asked for.
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <map>

#include "bus/codec.hpp"
#include "bus/curve.hpp"
#include "bus/socket.hpp"
#include "tests/hostile/shouting.hpp"

namespace zerodb::hostile {

namespace {

/// Junk, oversized headers and wrong counts of frames.
class Malformed final : public Shouting {
 public:
  ~Malformed() override { silence(); }

 private:
  void shout(const std::vector<PeerAddress>& others) override {
    auto all = lanes(others, 1000);
    const std::string large(std::size_t{1} << 20, '\x81');
    const std::string nested(60'000, '\x91');
    const std::vector<std::vector<std::string>> messages{
        {"x"},
        {"a", "b", "c"},
        std::vector<std::string>(100, "x"),
        {"", ""},
        {std::string("\xdd\x7f\xff\xff\xff", 5), "x"},
        {large, ""},
        {nested, ""},
        {"\x81\xa1v\x01", std::string(1 << 20, 'x')},
    };
    while (goes_on()) {
      for (auto& lane : all) {
        for (const auto& message : messages)
          lane.send(message);
        lane.drain();
      }
    }
  }
};

/// With fields that nobody knows, which make it as dear to read as a header may be: an array of
/// small numbers, and one of large ones.
Bytes padded(Bytes header) {
  constexpr std::size_t numbers = 4'000;
  static_assert(2 * numbers + 100 < codec::header_items_max);
  header.front() += 2;  // a map of so many more
  const auto append = [&](std::string_view bytes) {
    header.insert(header.end(), bytes.begin(), bytes.end());
  };
  append({"\xa2yy\xdd\x00\x00\x0f\xa0", 8});
  header.resize(header.size() + numbers, 1);
  append({"\xa2zz\xdd\x00\x00\x0f\xa0", 8});
  for (std::size_t i = 0; i < numbers; ++i)
    append("\xcf\x01\x02\x03\x04\x05\x06\x07\x08");
  return header;
}

/// Requests that are dear to read.
class DearRequests final : public Shouting {
 public:
  ~DearRequests() override { silence(); }

 private:
  void shout(const std::vector<PeerAddress>& others) override {
    auto all = lanes(others, 1000);
    const auto roster = padded(codec::encode(1, peer::Request(peer::GetRoster{})));
    const auto manifest = padded(codec::encode(2, peer::Request(peer::GetManifest{})));
    while (goes_on()) {
      for (auto& lane : all) {
        lane.send({std::string(as_text(roster)), ""});
        for (int i = 0; i < 10; ++i)  // fewer than the rosters that would be too many
          lane.send({std::string(as_text(manifest)), ""});
        lane.drain();
      }
    }
  }
};

/// One message of a million frames to each, now and then: libzmq collects them all.
class ManyFrames final : public Shouting {
 public:
  ~ManyFrames() override { silence(); }

 private:
  static constexpr std::size_t frames = 1'000'000;
  void shout(const std::vector<PeerAddress>& others) override {
    auto all = lanes(others, 1000);
    while (goes_on()) {
      for (auto& lane : all) {
        for (std::size_t i = 0; i < frames && goes_on(); ++i)
          lane.socket().send(zmq::const_buffer("x", 1), zmq::send_flags::sndmore);
        lane.socket().send(zmq::const_buffer("x", 1), zmq::send_flags::none);
      }
      std::this_thread::sleep_for(Milliseconds(1'000));
    }
  }
};

using Frames = std::vector<Payload>;
/// What is sent for one answer: messages, each without its routing id.
using Garble = std::function<std::vector<Frames>(std::uint64_t id, const Bytes& header,
                                                 const Payload& payload)>;

/// Listens in the daemon's place, asks its node, and sends what becomes of the answers.
class OwnRouter : public Lie {
 public:
  explicit OwnRouter(Garble garble) : garble_(std::move(garble)) {}

  void begin(const DaemonParts& parts) override {
    parts_ = &parts;
    auto opened = Socket::open(parts.io, parts.bus, zmq::socket_type::router);
    if (!opened) throw std::runtime_error(opened.error().what);
    router_ = std::move(*opened);
    auto ready = set_limits(router_->zmq(), {});
    if (ready) ready = serve_curve(router_->zmq(), parts.keys.curve, peer_domain);
    if (!ready) throw std::runtime_error(ready.error().what);
    const auto endpoint = listen_on(router_->zmq(), "tcp://127.0.0.1:0");
    if (!endpoint) throw std::runtime_error(endpoint.error().what);
    const auto moved =
        parts.membership.set_own_address(*endpoint, parts.links.broadcast_endpoint());
    if (!moved) throw std::runtime_error(moved.error().what);
    asio::co_spawn(parts.io, serve(), asio::detached);
  }
  ~OwnRouter() override {
    if (router_) router_->close();
  }

 protected:
  const DaemonParts& parts() const { return *parts_; }
  Socket& router() { return *router_; }
  const std::map<std::string, Payload>& callers() const { return callers_; }

 private:
  Task<void> serve() {
    while (auto inbound = co_await router_->receive()) {
      const auto key = NodeId::from_hex(inbound->user_id);
      if (!key || inbound->frames.size() != 3) continue;
      const auto& route = inbound->frames[0];
      callers_.emplace(as_text(route.view()), route);
      auto decoded = codec::decode_peer_request(inbound->frames[1].view());
      if (!decoded) continue;
      asio::co_spawn(parts_->io, answer(*key, std::move(*inbound), std::move(*decoded)),
                     asio::detached);
    }
  }

  Task<void> answer(NodeId from, Inbound inbound, codec::Decoded<peer::Request> asked) {
    const Caller caller{.key = from};
    const bool is_greeting = std::holds_alternative<peer::Hello>(asked.message);
    auto answer =
        co_await parts_->node.on_request(caller, std::move(asked.message), inbound.frames[2]);
    if (!answer) co_return;
    const auto header = codec::encode(asked.id, answer->message);
    auto messages = garble_(asked.id, header, answer->payload);
    // Greetings get through, or there would be no link.
    if (is_greeting) messages = {{Payload::copy_of(header), answer->payload}};
    for (auto& message : messages) {
      message.insert(message.begin(), inbound.frames[0]);
      router_->send(message);
    }
  }

  Garble garble_;
  const DaemonParts* parts_ = nullptr;
  std::shared_ptr<Socket> router_;
  std::map<std::string, Payload> callers_;  ///< routing ids
};

/// And to all who ever asked, answers to what they did not ask.
class Unasked final : public OwnRouter {
 public:
  Unasked() : OwnRouter(as_it_is) {}
  void begin(const DaemonParts& parts) override {
    OwnRouter::begin(parts);
    spawn(parts.context.runtime, tell(parts.context.runtime, ended_));
  }
  ~Unasked() override { *ended_ = true; }

 private:
  static std::vector<Frames> as_it_is(std::uint64_t, const Bytes& header, const Payload& payload) {
    return {{Payload::copy_of(header), payload}};
  }

  Task<void> tell(Runtime& runtime, std::shared_ptr<bool> ended) {
    const auto header = Payload::take(padded(codec::encode(1ULL << 60, peer::Reply(peer::Ok{}))));
    const auto nothing = Payload::copy_of({});
    while (!*ended) {
      for (const auto& caller : callers())
        router().send(std::array{caller.second, header, nothing});
      co_await runtime.sleep(Milliseconds(1));
    }
  }

  std::shared_ptr<bool> ended_ = std::make_shared<bool>(false);
};

std::vector<Frames> twice(std::uint64_t, const Bytes& header, const Payload& payload) {
  const Frames answer{Payload::copy_of(header), payload};
  return {answer, answer, answer};
}

std::vector<Frames> garbled(std::uint64_t id, const Bytes& header, const Payload& payload) {
  auto junk = header;
  if (id % 2 == 0) junk.resize(junk.size() / 2);
  const Frames answer{Payload::take(std::move(junk)), payload};
  if (id % 3 == 0) return {Frames(9, payload)};
  if (id % 3 == 1) return {{Payload::take(random_bytes(64)), payload}, answer};
  return {answer};
}

std::function<std::unique_ptr<Lie>()> answering_with(Garble garble) {
  return [garble = std::move(garble)] { return std::make_unique<OwnRouter>(garble); };
}

const std::array wire_lies{
    NamedLie{"malformed", "junk, oversized headers and wrong counts of frames, without pause",
             making<Malformed>()},
    NamedLie{"dear", "requests that are long and dear to read, without pause",
             making<DearRequests>()},
    NamedLie{"frames", "messages of a million frames", making<ManyFrames>()},
    NamedLie{"twice", "three answers to each request", answering_with(twice)},
    NamedLie{"garbled", "answers that cannot be read, or of nine frames", answering_with(garbled)},
    NamedLie{"unasked", "long answers that nobody asked for, without pause", making<Unasked>()},
};

}  // namespace

std::span<const NamedLie> lies_on_the_wire() {
  return wire_lies;
}

}  // namespace zerodb::hostile
