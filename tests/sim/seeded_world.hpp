#pragma once
// A world for a test case, from the seed of the case. A failing case prints its seed. One thread.

#include "tests/sim/sim_world.hpp"
#include "tests/support/case_seed.hpp"

namespace zerodb::sim {

class SeededWorld : public World {
 public:
  SeededWorld() : SeededWorld(test::seed_of_case()) {}
  explicit SeededWorld(std::uint64_t seed)
      : World(seed),
        message_(Catch::MessageBuilder("INFO", CATCH_INTERNAL_LINEINFO, Catch::ResultWas::Info)
                 << "run again with SEED=" << seed) {}

 private:
  Catch::ScopedMessage message_;
};

}  // namespace zerodb::sim
