#pragma once
// Where the sealed chunks of one large object go: into the own store or to another node. Held by
// every write under way. One thread: the node's executor.

#include "node/commit.hpp"

namespace zerodb {

class ChunkSink {
 public:
  virtual ~ChunkSink() = default;

  /// Before any write. The sink is of no use if it fails.
  virtual Task<Status> open() = 0;

  /// Returns when the chunk has been taken in. Chunks come in any order, many at once; what the
  /// sink has no room for waits. Answers the chunk's leaf if it was computed on the way.
  virtual Task<Result<std::optional<Leaf>>> write(std::uint64_t index, Payload sealed) = 0;

  /// Called now and then, so that the node does not take a put from a slow source for dead.
  virtual void tend() {}

  /// After the last write. Again, under a later version, if another one stands.
  virtual Task<CommitResult> commit(SignedPtr version, CommitTerms terms) = 0;

  /// Drops what was written, behind; writes under way fail.
  virtual void abandon() = 0;
};

std::shared_ptr<ChunkSink> make_local_sink(CorePtr core, const ChunkBinding& binding);
std::shared_ptr<ChunkSink> make_remote_sink(CorePtr core, const NodeId& node,
                                            const ChunkBinding& binding);

}  // namespace zerodb
