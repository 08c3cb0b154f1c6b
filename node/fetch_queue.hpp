#pragma once
// Objects that should be here and are not: each once, whoever told of it, a few being fetched at a
// time, the failed ones again after a while. One thread: the node's executor.

#include <deque>
#include <map>
#include <memory>

#include "bus/complaints.hpp"
#include "node/event.hpp"
#include "node/node_context.hpp"
#include "node/rate.hpp"

namespace zerodb {

/// What one round of reconcile still waits for.
class FetchTally {
 public:
  explicit FetchTally(Runtime& runtime) : changed_(runtime) {}

  std::size_t failed() const { return failed_; }
  void open_one() { ++open_; }
  void close_one(bool failed);
  /// Until no more than `most` are open.
  static Task<void> wait(std::shared_ptr<FetchTally> self, std::size_t most);

 private:
  std::size_t open_ = 0;
  std::size_t failed_ = 0;
  Event changed_;
};

struct FetchQueueOptions {
  std::size_t fetches_max = 8;
  std::size_t backlog_max = 100'000;
  std::uint64_t bytes_per_s_max = 0;  ///< of what is fetched, on average; 0: no limit
};

class FetchQueue : public std::enable_shared_from_this<FetchQueue> {
 public:
  FetchQueue(NodeContext context, FetchQueueOptions options)
      : context_(context), options_(options), rate_(options.bytes_per_s_max) {}

  /// `node` lists a version later than ours. Open in `tally` until that or a later one is here,
  /// from whichever node, or given up.
  void want_latest(const Entry& listed, const NodeId& node,
                   const std::shared_ptr<FetchTally>& tally);

  /// A verified manifest of a version that should be here. Let go if there is no room: the next
  /// round finds it.
  void want_version(SignedManifest manifest, const std::vector<NodeId>& holders);

  bool is_idle() const { return wants_.empty(); }
  /// Fetched lately.
  std::uint64_t bytes_per_s() const { return rate_.bytes_per_s(context_.runtime.steady_ms()); }
  void stop();

 private:
  struct Source {
    NodeId node;
    Entry listed;
    std::shared_ptr<FetchTally> tally;
  };
  /// Of one object: what was told of it since it was last looked at.
  struct Want {
    std::vector<Source> sources;             ///< fetch the latest of each
    std::optional<SignedManifest> manifest;  ///< fetch this from `holders`
    std::vector<NodeId> holders;
    unsigned attempts = 0;  ///< failed in a row
    bool is_empty() const { return sources.empty() && !manifest; }
    void add(Want other);
  };

  void add(const ObjectId& object, Want more);
  void pump();
  static void give_up(const Want& want);
  void put_back(const ObjectId& object, Want failed);
  static Task<void> work(std::shared_ptr<FetchQueue> self);
  Task<Want> fetch(ObjectId object, Want want);
  Task<Status> fetch_listed(Entry listed, NodeId node);
  static Task<void> retry(std::shared_ptr<FetchQueue> self, ObjectId object, Milliseconds after);

  NodeContext context_;
  FetchQueueOptions options_;
  std::map<ObjectId, Want> wants_;  ///< waiting, being fetched, or resting before a retry
  std::deque<ObjectId> ready_;
  std::size_t running_ = 0;
  Rate rate_;
  Complaints complaints_;
  bool stopped_ = false;
};

}  // namespace zerodb
