#include "node/mesh.hpp"

namespace zerodb {

namespace {

/// Per partition: whether `node` is placed for it.
std::vector<bool> placed_of(const Placement& placement, const NodeId& node) {
  std::vector<bool> placed(partition_count);
  for (std::size_t partition = 0; partition < partition_count; ++partition) {
    placed[partition] = placement.is_placed(node, static_cast<Partition>(partition));
  }
  return placed;
}

/// A partition that went elsewhere, even for a while, missed writes: it must be taken over again.
void keep_common(std::vector<bool>& settled, const std::vector<bool>& placed) {
  for (std::size_t partition = 0; partition < partition_count; ++partition) {
    settled[partition] = settled[partition] && placed[partition];
  }
}

}  // namespace

Mesh::Mesh(NodeId self, SignedRoster roster, std::optional<SignedRoster> settled)
    : self_(self),
      roster_(std::move(roster)),
      placement_(roster_.roster()),
      settled_(partition_count, false) {
  if (!settled) return;
  settled_ = placed_of(Placement(settled->roster()), self_);
  keep_common(settled_, placed_of(placement_, self_));
}

bool Mesh::adopt(SignedRoster roster) {
  if (roster->mesh != roster_->mesh || !stands_over(roster, roster_)) return false;
  roster_ = std::move(roster);
  placement_ = Placement(roster_.roster());
  keep_common(settled_, placed_of(placement_, self_));
  for (const auto& observer : observers_)
    observer();
  return true;
}

bool Mesh::is_settled(Partition partition) const {
  return settled_[partition];
}

std::optional<SignedRoster> Mesh::settle(const RosterHash& roster) {
  if (roster != roster_.hash()) return std::nullopt;
  settled_ = placed_of(placement_, self_);
  return roster_;
}

std::string Mesh::describe(const NodeId& node) const {
  const auto* member = roster_->find(node);
  if (member == nullptr) return node.short_hex();
  return member->name + " (" + node.short_hex() + ")";
}

}  // namespace zerodb
