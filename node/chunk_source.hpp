#pragma once
// One chunk of one version, opened: from this node, else from the holders in turn, if it is what
// the owner signed; from the next one as well when a holder takes long, and instead when its copy
// is damaged. Held by the reads under way. One thread: the node's executor.

#include "node/leaf_table.hpp"
#include "node/locate.hpp"

namespace zerodb {

class ChunkSource {
 public:
  ChunkSource(CorePtr core, Located located, PrivatePart part);

  const Manifest& manifest() const { return version_->manifest(); }
  const PrivatePart& part() const { return part_; }

  /// Plaintext of chunk `index`. `corrupt` when every copy that can be reached is damaged, or gone
  /// while the version stands; `not_found` when the version was replaced or deleted.
  static Task<Result<Payload>> read(std::shared_ptr<ChunkSource> self, std::uint64_t index);

 private:
  using Self = std::shared_ptr<ChunkSource>;

  static Task<Result<Payload>> read_at(Self self, NodeId node, std::uint64_t index);
  Task<Result<Payload>> read_here(std::uint64_t index);
  Task<Result<Payload>> read_there(NodeId node, std::uint64_t index);
  Task<Result<Payload>> open_inline();
  Result<Payload> open(std::uint64_t index, ByteView sealed) const;
  Result<Payload> open_foreign(std::uint64_t index, ByteView sealed,
                               const std::optional<Leaf>& expected) const;
  Task<Result<std::optional<Leaf>>> expected_leaf(std::uint64_t index);
  void note_time(const NodeId& node, std::uint64_t took_ms);
  bool is_near(const NodeId& node) const;
  std::vector<NodeId> candidates(std::uint64_t index) const;
  enum class Fate { replaced, moved, lost };
  static Task<Fate> look_again(Self self, std::vector<NodeId> asked);
  Error lost() const;
  Error explain(const std::vector<std::pair<NodeId, Error>>& errors) const;

  CorePtr core_;
  SignedPtr version_;
  PrivatePart part_;
  Payload inline_sealed_;
  std::vector<NodeId> holders_;              ///< known to have the version
  std::vector<NodeId> others_;               ///< may have it, and were not asked or not known to
  std::map<NodeId, std::uint64_t> took_ms_;  ///< a chunk's round trip, smoothed; measured so far
  std::set<NodeId> bad_;                     ///< failed before: asked last
  std::shared_ptr<LeafTable> leaves_;
  std::set<std::pair<NodeId, std::uint64_t>> in_hand_;  ///< chunks that came, before their leaves
};

}  // namespace zerodb
