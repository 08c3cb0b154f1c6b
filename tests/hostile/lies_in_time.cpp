// Answers that are late, missing, of another kind, or far too large.
#include "tests/hostile/lie.hpp"

namespace zerodb::hostile {

namespace {

bool is_greeting(const peer::Request& request) {
  return std::holds_alternative<peer::Hello>(request);
}

/// Greets as it should, so that its link stays up, and lets everything else wait.
class Late final : public Lie {
 public:
  explicit Late(Milliseconds delay) : delay_(delay) {}
  void begin(const DaemonParts& parts) override { parts_ = &parts; }
  Task<std::optional<Result<PeerAnswer>>> answer(Caller, const peer::Request& request,
                                                 const Payload&) override {
    if (parts_ != nullptr && !is_greeting(request)) co_await parts_->context.runtime.sleep(delay_);
    co_return std::nullopt;
  }

 private:
  Milliseconds delay_;
  const DaemonParts* parts_ = nullptr;
};

/// Whoever asked has given up long before.
constexpr Milliseconds never{600'000};
/// Just below what others wait for a small answer.
constexpr Milliseconds slow{4'500};

std::optional<Result<PeerAnswer>> say_ok(const DaemonParts&, const peer::Request& request) {
  if (is_greeting(request)) return {};
  if (std::holds_alternative<peer::GetChunk>(request)) {
    return Result<PeerAnswer>(PeerAnswer{peer::GetManifest::Reply{}, {}});
  }
  return Result<PeerAnswer>(PeerAnswer{peer::Ok{}, {}});
}

void blow_up(const peer::Request& request, PeerAnswer& answer) {
  if (!is_greeting(request)) answer.payload = random_payload(1 << 20);
}

/// As much credit as one wants, for chunks that are never answered.
class HugeCredit final : public Lie {
 public:
  void begin(const DaemonParts& parts) override { parts_ = &parts; }
  Task<std::optional<Result<PeerAnswer>>> answer(Caller, const peer::Request& request,
                                                 const Payload&) override {
    if (std::holds_alternative<peer::PutOpen>(request)) {
      co_return PeerAnswer{peer::Credit{~std::uint64_t{0}}, {}};
    }
    const bool is_chunk = std::holds_alternative<peer::PutChunk>(request);
    if (is_chunk && parts_ != nullptr) co_await parts_->context.runtime.sleep(never);
    co_return std::nullopt;
  }

 private:
  const DaemonParts* parts_ = nullptr;
};

void set_clock(PeerAnswer& answer, std::int64_t off_ms) {
  auto* reply = std::get_if<peer::Hello::Reply>(&answer.message);
  if (reply != nullptr) reply->time_ms += static_cast<std::uint64_t>(off_ms);
}

constexpr std::int64_t hour_ms = 3'600'000;

const std::array time_lies{
    NamedLie{"slow", "answers everything but greetings after 4.5 s",
             [] { return std::make_unique<Late>(slow); }},
    NamedLie{"never", "answers nothing but greetings",
             [] { return std::make_unique<Late>(never); }},
    NamedLie{"type", "answers with messages of another type", saying(say_ok)},
    NamedLie{"huge", "1 MiB of payload with every answer", twisting(blow_up)},
    NamedLie{"credit", "grants all the credit there is and answers no chunk", making<HugeCredit>()},
    NamedLie{"clock-behind", "its clock is an hour behind",
             twisting([](const peer::Request&, PeerAnswer& a) { set_clock(a, -hour_ms); })},
    NamedLie{"clock-ahead", "its clock is an hour ahead",
             twisting([](const peer::Request&, PeerAnswer& a) { set_clock(a, hour_ms); })},
};

}  // namespace

std::span<const NamedLie> lies_in_time() {
  return time_lies;
}

}  // namespace zerodb::hostile
