#pragma once
// Keeps what lies on this node's disk whole: walks over all of it at a pace that takes a set time,
// or at once when asked to, and fetches from other nodes what it finds damaged or missing. Chunks
// that are still whole here are used. One thread: the node's executor.

#include <deque>
#include <memory>

#include "node/node_context.hpp"
#include "node/wakeup.hpp"

namespace zerodb {

struct ScrubOptions {
  Milliseconds period{std::chrono::hours(14 * 24)};  ///< a walk begins this long after the last
  std::uint64_t bytes_per_s_least = 1 << 20;         ///< a paced walk reads at least as fast
  Milliseconds repair_interval{600'000};  ///< what could not be repaired is tried again, also when
                                          ///< a link comes up
};

/// Where a walk stands; kept across restarts.
struct ScrubState {
  std::string position;  ///< of the store's; empty: no walk is under way
  bool unpaced = false;
  ScrubCounts counts;             ///< of the walk under way, or of the last one
  std::uint64_t repaired = 0;     ///< since that walk began
  std::uint64_t started_ms = 0;   ///< UTC; 0: never
  std::uint64_t finished_ms = 0;  ///< UTC, of the last walk that came to its end; 0: never
};
std::string encode_scrub_state(const ScrubState& state);
/// Nothing if it is no state: then a walk begins anew.
std::optional<ScrubState> decode_scrub_state(std::string_view text);

struct ScrubFiles {
  std::function<void(const std::string&)> save;  ///< best effort
  std::string saved;                             ///< what the last run saved; empty: nothing
};

struct ScrubStatus {
  ScrubState state;
  bool walking = false;
  bool repairing = false;
  std::uint32_t done_per_mille = 0;
  std::string trouble;  ///< why the last repair that failed did; empty: none did
};

class Scrubber : public std::enable_shared_from_this<Scrubber> {
 public:
  Scrubber(NodeContext context, ScrubOptions options, ScrubFiles files);

  void start();
  void stop();

  /// A walk from the beginning, as fast as the disk is.
  void begin_now();
  /// Tries what waits for repair, soon.
  void repair_soon();
  /// Somebody met bytes of this blob that are damaged or missing: it is looked at soon, unless it
  /// was found whole within the hour, or is known to be damaged.
  void suspect(const ChunkBinding& binding);

  ScrubStatus status() const;
  /// Until the status changes or `limit` has passed.
  static Task<void> wait(std::shared_ptr<Scrubber> self, Milliseconds limit);

 private:
  using Self = std::shared_ptr<Scrubber>;

  static Task<void> walk_forever(Self self);
  static Task<void> repair_forever(Self self);
  static Task<void> look_at_suspects(Self self);
  static Task<void> notify_after(Self self, std::shared_ptr<Wakeup> wakeup, Milliseconds after,
                                 std::shared_ptr<const bool> is_waiting);
  /// Until `wakeup` or until the time has passed.
  static Task<void> pause(Self self, std::shared_ptr<Wakeup> wakeup, Milliseconds limit);

  bool was_seen_whole(const BlobId& blob);
  void note_whole(const BlobId& blob);
  bool is_due() const;
  void begin_walk();
  Task<bool> walk_on();
  void end_walk();
  Milliseconds pace(const ScrubStep& step, std::uint64_t blob_bytes) const;
  Task<void> repair_all();
  Task<Status> repair(SignedManifest manifest);
  std::vector<NodeId> holders_of(const ObjectId& object) const;
  void save(bool now);

  NodeContext context_;
  const ScrubOptions options_;
  ScrubFiles files_;
  ScrubState state_;
  std::uint32_t done_per_mille_ = 0;
  bool walking_ = false;
  bool asked_ = false;  ///< for an unpaced walk
  bool repairing_ = false;
  bool repair_asked_ = true;
  std::string trouble_;
  std::deque<ChunkBinding> suspects_;
  std::deque<std::pair<BlobId, std::uint64_t>> whole_;  ///< suspects found so, and when (steady)
  bool looking_ = false;
  std::uint64_t due_from_ms_ = 0;  ///< steady: the first walk ever rests until then
  std::uint64_t saved_ms_ = 0;     ///< steady
  Milliseconds pause_{0};          ///< before the next step
  std::shared_ptr<Wakeup> walk_wake_;
  std::shared_ptr<Wakeup> repair_wake_;
  std::shared_ptr<Wakeup> changed_;
  bool stopped_ = false;
};

}  // namespace zerodb
