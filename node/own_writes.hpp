#pragma once
// The versions that a gateway acknowledged lately, so that a read through it sees them also while a
// member denies what it took. Bounded: in time, and the oldest are forgotten first. One thread: the
// node's executor.

#include <deque>
#include <map>

#include "node/runtime.hpp"
#include "store/clock.hpp"
#include "store/ids.hpp"

namespace zerodb {

/// By then the other copies of a write are there, and long before a deletion is swept.
inline constexpr Milliseconds own_writes_keep{600'000};

class OwnWrites {
 public:
  /// `runtime` outlives this.
  OwnWrites(Runtime& runtime, std::size_t writes_max)
      : runtime_(runtime), writes_max_(writes_max) {}

  void note(const ObjectId& object, Version version);

  /// The latest one noted within own_writes_keep; zero if there is none, or it is forgotten.
  Version latest(const ObjectId& object) const;

 private:
  struct Write {
    Version version;
    std::uint64_t at_ms = 0;  ///< steady
  };

  Runtime& runtime_;
  std::size_t writes_max_;
  std::map<ObjectId, Write> writes_;
  std::deque<std::pair<ObjectId, Version>> by_age_;  ///< oldest first
};

}  // namespace zerodb
