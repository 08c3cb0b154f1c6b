#pragma once
// Versions: hybrid logical clock stamps (Kulkarni et al., "Logical Physical Clocks", 2014).

#include <compare>
#include <cstdint>
#include <string>

#include "store/result.hpp"

namespace zerodb {

inline constexpr std::int64_t version_future_max_ms = 60'000;

/// 48 bits of milliseconds since 1970 (UTC), then a 16-bit counter. Later versions win.
struct Version {
  std::uint64_t value = 0;

  static Version at(std::uint64_t ms, std::uint16_t counter = 0) { return {ms << 16 | counter}; }
  std::uint64_t ms() const { return value >> 16; }
  auto operator<=>(const Version&) const = default;
};

/// "2026-11-23T10:20:30.123Z", for people.
std::string to_string(Version version);

/// Gives versions that only grow. Not thread-safe: one owner, one thread.
class HybridClock {
 public:
  /// A version later than every one given or observed before, at least `now_ms`.
  Version next(std::uint64_t now_ms);

  /// Makes later calls of next() exceed `seen`, which check_not_future() has let pass.
  void observe(Version seen);

 private:
  Version last_;
};

/// Refuses (`invalid`) a version more than version_future_max_ms after `now_ms`.
Status check_not_future(Version version, std::uint64_t now_ms);

}  // namespace zerodb
