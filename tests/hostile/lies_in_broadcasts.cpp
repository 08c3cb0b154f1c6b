// Broadcasts: forged, replayed, misplaced, and too many.
#include <deque>

#include "bus/broadcast.hpp"
#include "bus/curve.hpp"
#include "bus/socket.hpp"
#include "store/hash.hpp"
#include "tests/hostile/lie.hpp"
#include "tests/sim/sealed_object.hpp"

namespace zerodb::hostile {

namespace {

using Frames = std::vector<Payload>;

/// Publishes from a socket of its own what the daemon's would not. Remembers what others stored.
class Publishing : public Lie {
 public:
  Publishing(std::size_t burst, Milliseconds pause) : burst_(burst), pause_(pause) {}
  ~Publishing() override {
    if (socket_) socket_->close();
  }
  void begin(const DaemonParts& parts) override;
  void hear(const peer::Request& request) override {
    if (const auto* put = std::get_if<peer::PutInline>(&request)) remember(put->manifest);
    if (const auto* put = std::get_if<peer::PutCommit>(&request)) remember(put->manifest);
  }
  void hear(const broadcast::Message& message) override {
    if (const auto* manifest = broadcast::manifest_of(message)) remember(*manifest);
  }

 protected:
  /// Says one thing, by publish() or send().
  virtual void say_one() = 0;

  const DaemonParts& parts() const { return *parts_; }
  /// What others stored, one after the other, over and over; nothing before anything was heard.
  std::optional<SignedManifest> next_heard() const {
    if (heard_.empty()) return {};
    auto manifest = SignedManifest::trusted(heard_[count_ % heard_.size()]);
    if (!manifest) return {};
    return std::move(*manifest);
  }
  std::vector<Frames> seal(const ObjectId& about, const broadcast::Message& message) {
    return sealer_->seal(about, message, parts_->context.runtime.now_ms());
  }
  void send(const Frames& frames) { socket_->send(frames); }
  void publish(const ObjectId& about, const broadcast::Message& message) {
    for (const auto& frames : seal(about, message))
      send(frames);
  }
  std::uint64_t count() const { return count_; }

 private:
  static constexpr std::size_t heard_max = 10'000;
  void remember(const Bytes& manifest) {
    heard_.push_back(manifest);
    if (heard_.size() > heard_max) heard_.pop_front();
  }
  Task<void> go_on();

  std::size_t burst_;
  Milliseconds pause_;
  const DaemonParts* parts_ = nullptr;
  std::shared_ptr<Socket> socket_;
  std::optional<BroadcastSealer> sealer_;
  std::deque<Bytes> heard_;
  std::uint64_t count_ = 0;
};

void Publishing::begin(const DaemonParts& parts) {
  parts_ = &parts;
  auto opened = Socket::open(parts.io, parts.bus, zmq::socket_type::pub);
  if (!opened) throw std::runtime_error(opened.error().what);
  socket_ = std::move(*opened);
  auto ready = set_limits(socket_->zmq(), {.send_messages_max = 100'000});
  if (ready) ready = serve_curve(socket_->zmq(), parts.keys.curve, broadcast_domain);
  if (!ready) throw std::runtime_error(ready.error().what);
  const auto endpoint = listen_on(socket_->zmq(), "tcp://127.0.0.1:0");
  if (!endpoint) throw std::runtime_error(endpoint.error().what);
  const auto moved = parts.membership.set_own_address(parts.links.endpoint(), *endpoint);
  if (!moved) throw std::runtime_error(moved.error().what);
  const auto now_us = parts.context.runtime.now_ms() * 1000;
  sealer_.emplace(parts.keys.curve.public_key, parts.keys.sign, now_us);
  spawn(parts.context.runtime, go_on());
}

Task<void> Publishing::go_on() {
  while (true) {
    co_await parts_->context.runtime.sleep(pause_);
    for (std::size_t i = 0; i < burst_; ++i, ++count_)
      say_one();
  }
}

/// "This owner stored, or deleted, this": signed with the liar's own owner key. Sent to members as
/// puts, too.
class ForgedNews final : public Publishing {
 public:
  ForgedNews() : Publishing(1, Milliseconds(5)) {}

 private:
  void say_one() override {
    const auto theirs = next_heard();
    if (!theirs) return;
    const auto version = Version::at(parts().context.runtime.now_ms() + 10'000);
    auto forged = sim::sign_tombstone(own_, "forged", version).manifest();
    forged.object = (*theirs)->object;
    const auto wire = SignedManifest::sign(forged, own_).wire();
    if (count() % 2 == 0) publish(forged.object, broadcast::Delete{wire});
    if (count() % 2 == 1) publish(forged.object, broadcast::Store{wire});
    for (const auto& member : parts().membership.members())
      spawn(parts().context.runtime, put(member.node, wire));
  }
  Task<void> put(NodeId node, Bytes wire) {
    peer::PutInline forged{.manifest = std::move(wire), .expected = {}, .receipt = {}};
    const peer::Request request(std::move(forged));
    auto told = co_await parts().links.call(node, request, {}, Milliseconds(1'000));
    static_cast<void>(told);
  }

  OwnerKeys own_ = OwnerKeys::generate();
};

/// What was true once, again and again: as new broadcasts, as the very frames of old ones, and as
/// puts of versions that were replaced or deleted since.
class Replays final : public Publishing {
 public:
  Replays() : Publishing(4, Milliseconds(5)) {}

 private:
  void say_one() override {
    const auto old = next_heard();
    if (!old) return;
    for (auto& frames : seal((*old)->object, broadcast::Store{old->wire()})) {
      send(frames);
      if (before_.size() < 1'000) before_.push_back(std::move(frames));
    }
    send(before_[count() % before_.size()]);
  }
  std::vector<Frames> before_;
};

/// Good messages under topics that are not theirs, too long, or none.
class WrongTopics final : public Publishing {
 public:
  WrongTopics() : Publishing(4, Milliseconds(5)) {}

 private:
  void say_one() override {
    const auto old = next_heard();
    if (!old) return;
    auto frames = seal((*old)->object, broadcast::Store{old->wire()}).front();
    const std::array topics{std::string("g/"), std::string("p/000/"), "p/" + std::string(200, 'x'),
                            std::string("o/")};
    frames[0] = Payload::copy_of(as_bytes(topics[count() % topics.size()]));
    if (count() % 5 == 0) frames.resize(2);
    send(frames);
  }
};

/// As many wrongly signed ones as can be sent.
class BroadcastFlood final : public Publishing {
 public:
  BroadcastFlood() : Publishing(100, Milliseconds(1)) {}

 private:
  void say_one() override {
    const auto object = ObjectId{.owner = random_id<OwnerId>(), .hashed_key = {}};
    if (frames_.empty() || count() % 100 == 0) {
      frames_ = seal(object, broadcast::Get{.owner = object.owner}).front();
    }
    frames_[2] = random_payload(64);
    send(frames_);
  }
  Frames frames_;
};

/// New objects of an owner of the liar's own, well signed, which it hands out to nobody.
class NewsFlood final : public Publishing {
 public:
  NewsFlood() : Publishing(2, Milliseconds(1)) {}
  Task<std::optional<Result<PeerAnswer>>> answer(Caller, const peer::Request& request,
                                                 const Payload&) override {
    if (std::holds_alternative<peer::GetChunk>(request)) {
      co_await parts().context.runtime.sleep(Milliseconds(600'000));
    }
    co_return std::nullopt;
  }

 private:
  void say_one() override {
    auto manifest = template_.manifest.manifest();
    manifest.object.hashed_key = random_id<HashedKey>();
    manifest.sealed = random_bytes(7'000);
    manifest.version = Version::at(parts().context.runtime.now_ms());
    publish(manifest.object, broadcast::Store{SignedManifest::sign(manifest, own_).wire()});
  }
  OwnerKeys own_ = OwnerKeys::generate();
  sim::SealedObject template_ = sim::seal_object(own_, {.name = "none", .size = 60'000});
};

/// "Who has this?", of what nobody has.
class QuestionFlood final : public Publishing {
 public:
  QuestionFlood() : Publishing(10, Milliseconds(1)) {}

 private:
  void say_one() override {
    const ObjectId object{.owner = random_id<OwnerId>(), .hashed_key = random_id<HashedKey>()};
    publish(object, broadcast::Get{
                        .owner = object.owner, .hashed_key = object.hashed_key, .nonce = count()});
  }
};

const std::array broadcast_lies{
    NamedLie{"news-forged", "stores and deletes of others, signed with its own owner key",
             making<ForgedNews>()},
    NamedLie{"news-replayed", "versions that were replaced or deleted since", making<Replays>()},
    NamedLie{"news-topics", "broadcasts under wrong topics", making<WrongTopics>()},
    NamedLie{"flood-broadcasts", "wrongly signed broadcasts, 100 a millisecond",
             making<BroadcastFlood>()},
    NamedLie{"flood-news", "objects of its own that it hands out to nobody, 2 a millisecond",
             making<NewsFlood>()},
    NamedLie{"flood-questions", "broadcast questions, 10 a millisecond", making<QuestionFlood>()},
};

}  // namespace

std::span<const NamedLie> lies_in_broadcasts() {
  return broadcast_lies;
}

}  // namespace zerodb::hostile
