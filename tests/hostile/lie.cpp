#include "tests/hostile/lie.hpp"

#include "store/hash.hpp"

namespace zerodb::hostile {

namespace {

class Twisting final : public Lie {
 public:
  explicit Twisting(TwistAnswer twist) : twist_(std::move(twist)) {}
  void twist(const peer::Request& request, PeerAnswer& answer) override { twist_(request, answer); }

 private:
  TwistAnswer twist_;
};

class Saying final : public Lie {
 public:
  explicit Saying(SayInstead say) : say_(std::move(say)) {}
  void begin(const DaemonParts& parts) override { parts_ = &parts; }
  Task<std::optional<Result<PeerAnswer>>> answer(Caller, const peer::Request& request,
                                                 const Payload&) override {
    if (parts_ == nullptr) co_return std::nullopt;
    co_return say_(*parts_, request);
  }

 private:
  SayInstead say_;
  const DaemonParts* parts_ = nullptr;
};

class Greeting final : public Lie {
 public:
  explicit Greeting(std::function<void(peer::Hello&)> twist) : twist_(std::move(twist)) {}
  void twist_hello(peer::Hello& hello) override { twist_(hello); }

 private:
  std::function<void(peer::Hello&)> twist_;
};

}  // namespace

std::function<std::unique_ptr<Lie>()> twisting(TwistAnswer twist) {
  return [twist = std::move(twist)] { return std::make_unique<Twisting>(twist); };
}

std::function<std::unique_ptr<Lie>()> saying(SayInstead say) {
  return [say = std::move(say)] { return std::make_unique<Saying>(say); };
}

std::function<std::unique_ptr<Lie>()> greeting(std::function<void(peer::Hello&)> twist) {
  return [twist = std::move(twist)] { return std::make_unique<Greeting>(twist); };
}

Bytes random_bytes(std::size_t size) {
  Bytes bytes(size);
  fill_random(bytes);
  return bytes;
}

Payload random_payload(std::size_t size) {
  return Payload::take(random_bytes(size));
}

}  // namespace zerodb::hostile
