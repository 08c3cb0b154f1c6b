#pragma once
// Makes inline commits durable together: those that arrive while others are being written form the
// next batch, with one visit to the thread pool and one fsync. One thread: the node's executor.

#include <deque>
#include <functional>
#include <memory>

#include "node/wakeup.hpp"
#include "store/store.hpp"

namespace zerodb {

class CommitQueue {
 public:
  /// Answers the manifest to commit, checked. Runs off the network thread.
  using MakeManifest = std::function<Result<std::shared_ptr<const SignedManifest>>()>;

  /// `runtime` and `store` outlive the queue and what is under way in it.
  CommitQueue(Runtime& runtime, Store& store)
      : state_(std::make_shared<State>(State{runtime, store, {}, false})) {}

  /// Store::commit_inline. The caller bounds how many it has under way.
  Task<Result<CommitOutcome>> commit(MakeManifest make_manifest, Payload sealed,
                                     Expected expected = {});

 private:
  struct Job;
  struct State {
    Runtime& runtime;
    Store& store;
    std::deque<std::shared_ptr<Job>> waiting;
    bool writing = false;
  };

  static Task<void> write(std::shared_ptr<State> state);
  static void commit_all(Store& store, const std::vector<std::shared_ptr<Job>>& batch);

  std::shared_ptr<State> state_;  ///< shared with write(), which ends behind
};

}  // namespace zerodb
