#pragma once
// Keeps small writes from running away from a replica. They are acknowledged before the last
// replica took them; one that is slower for a moment would fall behind without end, and refuse
// writes in the end. So new ones wait while it has too many to take; not for one that has had its
// share of patience, or never answers. One thread: the node's executor.

#include <map>
#include <memory>
#include <vector>

#include "node/stragglers.hpp"
#include "node/wakeup.hpp"

namespace zerodb {

struct CommitWindowOptions {
  std::size_t commits_max = 512;  ///< under way to one node, before others wait for it
  Milliseconds patience{3'000};   ///< for one node; grows back by a fifth of the time
};

class CommitWindow {
 public:
  /// Who used its patience up is noted in `slow`, and not waited for while it is in there. Both
  /// outlive this.
  CommitWindow(Runtime& runtime, Stragglers& slow, CommitWindowOptions options);
  ~CommitWindow();
  CommitWindow(const CommitWindow&) = delete;
  CommitWindow& operator=(const CommitWindow&) = delete;

  /// Until none of `nodes` holds writes up.
  Task<void> wait(std::vector<NodeId> nodes);

  /// A commit under way to `node`, as long as what is answered is held. That may be longer than all
  /// else lives, once this is closed: a coroutine that holds it is unwound with its executor.
  std::shared_ptr<const void> begin(const NodeId& node);

  /// Nothing is counted any more, and neither `runtime` nor `slow` used.
  void close();

 private:
  struct State;
  static Task<void> watch(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;  ///< shared with watch(), which ends behind
};

}  // namespace zerodb
