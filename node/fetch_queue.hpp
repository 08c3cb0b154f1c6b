#pragma once
// Objects that should be here and are not: each once, whoever told of it, a few being fetched at a
// time, the failed ones again after a while. Nodes that tell of objects take turns, and each may
// have only so many waiting, so that one which tells of what it does not hand out keeps nobody
// else's from being fetched. One thread: the node's executor.

#include <deque>
#include <map>
#include <memory>

#include "bus/complaints.hpp"
#include "node/node_context.hpp"
#include "node/rate.hpp"
#include "node/wakeup.hpp"

namespace zerodb {

/// What one round of reconcile still waits for.
class FetchTally {
 public:
  explicit FetchTally(Runtime& runtime) : changed_(runtime) {}

  std::size_t failed() const { return failed_; }
  /// What was listed and then not there.
  std::size_t empty() const { return empty_; }
  void open_one() { ++open_; }
  void close_one(bool failed);
  void close_empty();
  /// Until no more than `most` are open.
  static Task<void> wait(std::shared_ptr<FetchTally> self, std::size_t most);

 private:
  std::size_t open_ = 0;
  std::size_t failed_ = 0;
  std::size_t empty_ = 0;
  Wakeup changed_;
};

struct FetchQueueOptions {
  std::size_t fetches_max = 8;               ///< objects being fetched at once
  std::size_t fetches_per_node_max = 6;      ///< of them told by one node
  std::size_t backlog_per_node_max = 2'000;  ///< waiting; beyond, the next round finds them
  std::uint64_t bytes_per_s_max = 0;         ///< of what is fetched, on average; 0: no limit
};

class FetchQueue : public std::enable_shared_from_this<FetchQueue> {
 public:
  FetchQueue(NodeContext context, FetchQueueOptions options)
      : context_(context), options_(options), rate_(options.bytes_per_s_max) {}

  /// `node` lists a version later than ours. Open in `tally` until that or a later one is here,
  /// from whichever node, or given up; which it is at once if too much of that node's waits.
  void want_latest(const Entry& listed, const NodeId& node,
                   const std::shared_ptr<FetchTally>& tally);

  /// A verified manifest of a version that should be here, told by the first of `holders`. False:
  /// too much of that node's waits, and the next round with it has to find this.
  bool want_version(SignedManifest manifest, const std::vector<NodeId>& holders);
  /// Whether more told by that node may wait: else what it tells need not even be verified.
  bool has_room_for(const NodeId& teller) const;

  bool is_idle() const { return wants_.empty(); }
  /// Fetched lately.
  std::uint64_t bytes_per_s() const { return rate_.bytes_per_s(context_.runtime.steady_ms()); }
  void stop();

 private:
  /// What waits of one node. Shared with the places taken in it.
  struct Teller {
    std::deque<ObjectId> ready;
    std::size_t fetching = 0;
    std::size_t places_taken = 0;
  };
  /// Counts one thing told by a node, as long as it is held.
  using Place = std::shared_ptr<const void>;

  struct Source {
    NodeId node;
    Entry listed;
    std::shared_ptr<FetchTally> tally;
    Place place;
  };
  /// Of one object: what was told of it since it was last looked at.
  struct Want {
    enum class State { ready, fetching, resting };
    std::vector<Source> sources;             ///< fetch the latest of each
    std::optional<SignedManifest> manifest;  ///< fetch this from `holders`
    std::vector<NodeId> holders;
    NodeId told_by;         ///< of the manifest
    Place place;            ///< likewise
    unsigned attempts = 0;  ///< failed in a row
    State state = State::ready;
    std::string trouble;  ///< why what failed did
    bool is_empty() const { return sources.empty() && !manifest; }
    void add(Want other);
  };
  using Tellers = std::map<NodeId, std::shared_ptr<Teller>>;

  Place take_place(const NodeId& node);
  void add(const ObjectId& object, const NodeId& teller, Want more);
  void make_ready(const ObjectId& object);
  Tellers::iterator next_teller();
  void pump();
  static void give_up(const Want& want);
  void warn(const ObjectId& object, const Want& failed);
  void put_back(const ObjectId& object, Want failed);
  static Task<void> work(std::shared_ptr<FetchQueue> self);
  Task<Want> fetch(ObjectId object, Want want);
  Task<Status> fetch_listed(Entry listed, NodeId node);
  static Task<void> retry(std::shared_ptr<FetchQueue> self, ObjectId object, Milliseconds after);

  NodeContext context_;
  FetchQueueOptions options_;
  std::map<ObjectId, Want> wants_;
  Tellers tellers_;
  NodeId served_last_;
  std::size_t running_ = 0;
  Rate rate_;
  Complaints complaints_;
  std::uint64_t may_warn_ms_ = 0;  ///< steady
  bool stopped_ = false;
};

}  // namespace zerodb
