#include "store/damage_marks.hpp"

namespace zerodb {

Status DamageMarks::load(Index& index) {
  const auto marked = index.marked();
  if (!marked) return fail(marked.error());
  const std::lock_guard guard(mutex_);
  index_ = &index;
  keys_.clear();
  for (const auto& binding : *marked)
    keys_.insert(index_key::of_blob(binding));
  return {};
}

bool DamageMarks::contains(const ChunkBinding& binding) const {
  const std::lock_guard guard(mutex_);
  return !keys_.empty() && keys_.contains(index_key::of_blob(binding));
}

std::size_t DamageMarks::size() const {
  const std::lock_guard guard(mutex_);
  return keys_.size();
}

Status DamageMarks::add(const ChunkBinding& binding, std::uint64_t ms) {
  if (contains(binding)) return {};
  if (auto marked = index_->mark_damaged(binding, ms); !marked) return marked;
  const std::lock_guard guard(mutex_);
  keys_.insert(index_key::of_blob(binding));
  return {};
}

Status DamageMarks::remove(const std::vector<ChunkBinding>& bindings) {
  if (bindings.empty()) return {};
  if (auto removed = index_->unmark(bindings); !removed) return removed;
  for (const auto& binding : bindings)
    forget(binding);
  return {};
}

void DamageMarks::forget(const ChunkBinding& binding) {
  const std::lock_guard guard(mutex_);
  keys_.erase(index_key::of_blob(binding));
}

std::vector<ChunkBinding> DamageMarks::list(const std::optional<ChunkBinding>& after,
                                            std::size_t limit) const {
  const std::lock_guard guard(mutex_);
  std::vector<ChunkBinding> bindings;
  auto at = after ? keys_.upper_bound(index_key::of_blob(*after)) : keys_.begin();
  for (; at != keys_.end() && bindings.size() < limit; ++at)
    bindings.push_back(*index_key::decode_blob(*at));
  return bindings;
}

}  // namespace zerodb
