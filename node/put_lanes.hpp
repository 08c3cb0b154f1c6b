#pragma once
// The way of a large object's chunks to its replicas: one lane each, all fed the same sealed
// chunks, none further behind than the window. A lane that fails, or holds the put up for too long
// while enough others are ahead, is let go: that node fetches the object by itself. Lanes that end
// behind the acknowledgement keep this alive. One thread: the node's executor.

#include "node/chunk_sink.hpp"
#include "node/draft.hpp"
#include "node/wakeup.hpp"

namespace zerodb {

class PutLanes : public std::enable_shared_from_this<PutLanes> {
 public:
  /// Opens a lane to every placed node that is up.
  static std::shared_ptr<PutLanes> open(CorePtr core, Draft draft, bool receipts);
  PutLanes(CorePtr core, Draft draft, bool receipts);  ///< for open()

  /// Seals the next chunk and sends it to every lane, behind.
  void send(Payload plain, bool last);

  /// Until every lane has room for more. The error once too few are left for W.
  Task<Status> room();

  /// After the last chunk: signs, and waits for W replicas that have everything.
  Task<Result<WriteReceipt>> commit(std::uint64_t total, WriteCondition condition);

  /// Drops what was sent, everywhere.
  void abandon();

 private:
  struct Lane {
    NodeId node;
    std::shared_ptr<ChunkSink> sink;
    bool is_open = false;
    bool committing = false;
    bool committed = false;
    std::optional<Error> gone;     ///< why it was let go
    std::size_t backlog = 0;       ///< chunks it has not taken in yet
    std::uint64_t held_up_ms = 0;  ///< how long the put waited for it
  };
  using Self = std::shared_ptr<PutLanes>;
  /// Counts a chunk for as long as a lane has it to take.
  using OnItsWay = std::shared_ptr<const void>;

  // Each runs behind, and keeps this alive.
  static Task<void> open_lane(Self self, Lane& lane);
  static Task<void> seal_and_send(Self self, Payload plain, ChunkPosition position,
                                  OnItsWay on_its_way);
  static Task<void> write(Self self, Lane& lane, std::uint64_t index, Payload sealed,
                          OnItsWay on_its_way);
  static Task<void> take_in(Self self, Lane& lane);
  static Task<CommitResult> commit_lane(Self self, Lane& lane, SignedPtr version);
  static Task<void> watch(Self self);

  Task<Result<std::optional<Leaf>>> write_when_open(Lane& lane, std::uint64_t index,
                                                    Payload sealed);
  Task<void> hash_here(std::uint64_t index, Payload sealed);
  Task<SignedPtr> sign_version(std::uint64_t total);
  void keep_leaf(std::uint64_t index, const Leaf& leaf);
  void let_go(Lane& lane, Error why);
  void let_go_of_laggards(std::uint64_t passed_ms);
  Lane& lane_of(const NodeId& node);
  const Lane& lane_of(const NodeId& node) const;
  bool own_store_hashes() const;
  bool holds_up(const Lane& lane) const;
  std::size_t window() const;
  bool are_enough_ahead_of(const Lane& lane) const;
  Targets::Count left() const;
  bool is_over() const;
  Error too_few_left() const;

  CorePtr core_;
  Draft draft_;
  bool receipts_;
  Mesh::Work work_;  ///< until it is acknowledged, or cannot be any more
  Targets targets_;
  std::vector<Lane> lanes_;  ///< one for each target; never changes size once open
  std::vector<std::optional<Leaf>> leaves_;
  std::size_t leaves_known_ = 0;
  std::uint64_t started_ms_;
  bool ending_ = false;  ///< the last chunk was sent
  Expected expected_;
  std::optional<Error> failed_;
  Wakeup changed_;
};

}  // namespace zerodb
