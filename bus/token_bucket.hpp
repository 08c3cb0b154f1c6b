#pragma once
// So many a second, and as many at once as a second brings. One thread; times are given, so that
// tests need not wait.

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace zerodb {

class TokenBucket {
 public:
  using Clock = std::chrono::steady_clock;

  /// 0: no limit.
  explicit TokenBucket(std::uint64_t per_s_max) : most_(per_s_max) {}

  /// How long to wait before anything more may pass.
  Clock::duration pause(Clock::time_point now) const {
    return std::max(filled_at_ - burst - now, Clock::duration::zero());
  }

  /// Counts what passes. Something larger than a second's worth passes too, and what follows waits
  /// the longer.
  void take(std::uint64_t count, Clock::time_point now) {
    if (most_ == 0) return;
    const auto seconds = static_cast<double>(count) / static_cast<double>(most_);
    filled_at_ = std::max(filled_at_, now) +
                 std::chrono::ceil<Clock::duration>(std::chrono::duration<double>(seconds));
  }

  /// True when nothing is known of the past that the future depends on.
  bool is_full(Clock::time_point now) const { return filled_at_ <= now; }

 private:
  static constexpr Clock::duration burst = std::chrono::seconds(1);

  std::uint64_t most_;
  Clock::time_point filled_at_{};  ///< if nothing more passes
};

}  // namespace zerodb
