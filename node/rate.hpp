#pragma once
// How many bytes a second pass somewhere, and when the next may so that there are not too many. One
// thread. Times are steady milliseconds.

#include <algorithm>
#include <cstdint>

namespace zerodb {

class Rate {
 public:
  explicit Rate(std::uint64_t bytes_per_s_max) : most_(bytes_per_s_max) {}

  void add(std::uint64_t bytes, std::uint64_t now_ms) {
    roll(now_ms);
    window_bytes_ += bytes;
    if (most_ != 0) free_ms_ = std::max(free_ms_, now_ms) + bytes * 1000 / most_;
  }

  /// How long to wait before anything more may pass.
  std::uint64_t pause_ms(std::uint64_t now_ms) const {
    return free_ms_ > now_ms ? free_ms_ - now_ms : 0;
  }

  /// Over the last whole window.
  std::uint64_t bytes_per_s(std::uint64_t now_ms) const {
    const auto windows = now_ms / window_ms - window_;
    const auto bytes = windows == 0 ? last_bytes_ : windows == 1 ? window_bytes_ : 0;
    return bytes * 1000 / window_ms;
  }

 private:
  static constexpr std::uint64_t window_ms = 5'000;

  void roll(std::uint64_t now_ms) {
    const auto window = now_ms / window_ms;
    if (window == window_) return;
    last_bytes_ = window == window_ + 1 ? window_bytes_ : 0;
    window_bytes_ = 0;
    window_ = window;
  }

  std::uint64_t most_;
  std::uint64_t free_ms_ = 0;
  std::uint64_t window_ = 0;  ///< which one is filling
  std::uint64_t window_bytes_ = 0;
  std::uint64_t last_bytes_ = 0;  ///< of the one before
};

}  // namespace zerodb
