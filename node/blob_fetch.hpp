#pragma once
// The sealed chunks of one large version, brought in from several holders at once: leaves first,
// checked against the signed root, then chunks, each checked against its leaf. A holder that lied
// is asked again only when no other is left. One thread: the node's executor.

#include <memory>

#include "node/node_context.hpp"
#include "node/wakeup.hpp"

namespace zerodb {

class BlobFetch : public std::enable_shared_from_this<BlobFetch> {
 public:
  /// `manifest` is verified and describes a version with chunks.
  BlobFetch(NodeContext context, SignedManifest manifest, const std::vector<NodeId>& holders);

  /// What is whole of the version's bytes here need not be fetched. Before run().
  void use_own_chunks() { use_own_ = true; }

  /// Fetches, checks and commits. `corrupt` if no honest holder has it all.
  Task<Status> run();

 private:
  static constexpr unsigned failures_max = 3;

  struct Holder {
    NodeId node;
    unsigned failures = 0;  ///< in a row
    bool lied = false;
    bool is_good() const { return !lied && failures < failures_max; }
  };

  struct WorkerEnd;

  const Manifest& manifest() const { return manifest_.manifest(); }
  Task<Status> check_space();
  Task<Status> fetch_leaves();
  Task<bool> take_own_leaves();
  Task<bool> take_own_chunk(std::uint64_t index);
  Task<Result<std::vector<Leaf>>> leaves_from(NodeId node);
  Task<Status> fetch_chunks();
  static Task<void> work(std::shared_ptr<BlobFetch> self);
  Task<Status> fetch_chunk(std::uint64_t index);
  Task<Result<Payload>> ask_for_chunk(std::uint64_t index, std::size_t holder);
  Task<Status> commit();

  NodeContext context_;
  SignedManifest manifest_;
  std::vector<Holder> holders_;
  std::vector<Leaf> leaves_;
  std::unique_ptr<Upload> upload_;
  bool use_own_ = false;
  std::uint64_t next_index_ = 0;
  unsigned workers_ = 0;
  std::uint64_t chunks_open_ = 0;  ///< begun, with no outcome yet
  Status outcome_;                 ///< the first failure
  Wakeup worker_ended_;
};

}  // namespace zerodb
