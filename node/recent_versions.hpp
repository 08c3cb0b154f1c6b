#pragma once
// The versions a node took in lately, so that hearing of them again costs it next to nothing.
// Bounded: the oldest are forgotten first. One thread: the node's executor.

#include <deque>
#include <set>

#include "store/bytes.hpp"

namespace zerodb {

class RecentVersions {
 public:
  explicit RecentVersions(std::size_t versions_max) : versions_max_(versions_max) {}

  /// `manifest` as it came, signature and all.
  void add(ByteView manifest);

  /// True for the very bytes that were added, and still remembered.
  bool contains(ByteView manifest) const;

 private:
  using Hash = std::array<std::uint8_t, 32>;
  static Hash hash_of(ByteView manifest);

  std::size_t versions_max_;
  std::set<Hash> known_;
  std::deque<Hash> by_age_;  ///< oldest first
};

}  // namespace zerodb
