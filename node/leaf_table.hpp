#pragma once
// The leaves of one version, as others tell them: what the chunks that they hand out must hash to.
// They are believed once all together give the root that the owner signed. Of an object of many
// pages of leaves, only a hash of each is kept, and the last page asked for with the one before it.
// Held by the reads under way. One thread: the node's executor.

#include "node/gateway_core.hpp"

namespace zerodb {

inline constexpr std::uint64_t leaves_a_page = 8192;  ///< in one answer to get_leaves

/// A page of leaves as another node tells it, unchecked. `corrupt` if they are more or fewer.
Task<Result<std::vector<Leaf>>> ask_for_leaves(NodeContext context, NodeId node, Manifest manifest,
                                               std::uint64_t page);

/// The same of any node, this one too.
Task<Result<std::vector<Leaf>>> leaves_page(NodeContext context, NodeId node, SignedPtr version,
                                            std::uint64_t page);

class LeafTable {
 public:
  LeafTable(CorePtr core, SignedPtr version);

  /// Of chunk `index`, asked of `nodes` one after the other where it is not known yet. If none has
  /// leaves that are right: `not_found` if all lack the version, `corrupt` if none may have them
  /// all the same, else `no_quorum`.
  static Task<Result<Leaf>> leaf(std::shared_ptr<LeafTable> self, std::uint64_t index,
                                 std::vector<NodeId> nodes);

  /// Begins to ask, behind the caller's back: the leaf will be wanted soon.
  static void load_ahead(const std::shared_ptr<LeafTable>& self, std::uint64_t index,
                         std::vector<NodeId> nodes);

 private:
  using Self = std::shared_ptr<LeafTable>;
  /// What one node told, checked.
  struct Told {
    std::vector<Root> hashes;  ///< of each page; none if they were known before
    std::vector<Leaf> page;
  };
  struct Failure {
    std::uint64_t page = 0;
    std::uint64_t load = 0;  ///< which it was
    Error error;
  };

  static Task<Result<Told>> ask(Self self, NodeId node, std::uint64_t page);
  static Task<Result<Told>> ask_for_all(Self self, NodeId node, std::uint64_t wanted);
  static Task<void> load_unasked(Self self, std::uint64_t page, std::vector<NodeId> nodes);
  static Task<void> load(Self self, std::uint64_t page, std::vector<NodeId> nodes);
  void keep(std::uint64_t page, Told told);

  CorePtr core_;
  SignedPtr version_;
  std::vector<Root> hashes_;  ///< over the leaves of each page; empty until they are known
  std::map<std::uint64_t, std::vector<Leaf>> pages_;
  bool loading_ = false;
  std::uint64_t loads_ = 0;  ///< that have ended
  std::optional<Failure> failure_;
  Wakeup loaded_;
};

}  // namespace zerodb
