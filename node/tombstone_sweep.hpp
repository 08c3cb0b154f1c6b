#pragma once
// Drops old tombstones once nothing is left that they would have to defend against: they are older
// than a day, every member is settled and clean under the roster that stands and can be reached
// now, and every node placed for the object holds the tombstone or nothing of it. One thread: the
// node's executor.

#include <memory>

#include "node/node_context.hpp"

namespace zerodb {

struct TombstoneSweepOptions {
  Milliseconds interval{3'600'000};
};

class TombstoneSweep {
 public:
  TombstoneSweep(NodeContext context, TombstoneSweepOptions options);
  ~TombstoneSweep();

  void start();
  void stop();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace zerodb
