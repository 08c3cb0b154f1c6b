#pragma once
// Which blobs are damaged or missing here: in the index, so that it is not forgotten, and in
// memory, so that a commit can ask for nothing. Thread-safe.

#include <mutex>
#include <set>

#include "store/index.hpp"

namespace zerodb {

class DamageMarks {
 public:
  /// Reads what `index`, which outlives this, has marked.
  Status load(Index& index);

  bool contains(const ChunkBinding& binding) const;
  std::size_t size() const;

  /// Durable on return.
  Status add(const ChunkBinding& binding, std::uint64_t ms);
  Status remove(const std::vector<ChunkBinding>& bindings);
  /// The index has no mark of it any more.
  void forget(const ChunkBinding& binding);

  /// In order, strictly after `after`.
  std::vector<ChunkBinding> list(const std::optional<ChunkBinding>& after, std::size_t limit) const;

 private:
  Index* index_ = nullptr;
  mutable std::mutex mutex_;
  std::set<std::string> keys_;
};

}  // namespace zerodb
