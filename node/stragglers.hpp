#pragma once
// Nodes that lately kept one kind of work waiting for an answer that others gave in time; who was
// late at one may have been busy, so each kind has a list of its own. They are still asked, but
// nobody waits for them who can do without, until a while has passed: a longer one each time, as
// one that never answers must not cost every request its patience. One thread: the node's executor.

#include <map>

#include "node/runtime.hpp"

namespace zerodb {

class Stragglers {
 public:
  /// How long somebody is not waited for.
  struct Pause {
    Milliseconds first{5'000};
    unsigned doublings_max = 4;  ///< one for each time in a row
  };

  /// `runtime` outlives this.
  explicit Stragglers(Runtime& runtime) : Stragglers(runtime, Pause{}) {}
  Stragglers(Runtime& runtime, Pause pause) : runtime_(runtime), pause_(pause) {}

  void note(const NodeId& node);
  bool has(const NodeId& node) const;

 private:
  struct Lapse {
    std::uint64_t until_ms = 0;  ///< steady
    unsigned in_a_row = 0;
  };

  Runtime& runtime_;
  Pause pause_;
  std::map<NodeId, Lapse> lapses_;
};

}  // namespace zerodb
