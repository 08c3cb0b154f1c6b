#pragma once
// A world for a test case: the seed is drawn, a failing case prints it, and SEED=... in the
// environment runs the case with it again. One thread.

#include <catch2/catch.hpp>
#include <cstdlib>
#include <random>
#include <string>

#include "tests/sim/sim_world.hpp"

namespace zerodb::sim {

class SeededWorld : public World {
 public:
  SeededWorld() : SeededWorld(choose_seed()) {}
  explicit SeededWorld(std::uint64_t seed)
      : World(seed),
        message_(Catch::MessageBuilder("INFO", CATCH_INTERNAL_LINEINFO, Catch::ResultWas::Info)
                 << "run again with SEED=" << seed) {}

 private:
  static std::uint64_t choose_seed() {
    if (const char* given = std::getenv("SEED"); given != nullptr && *given != '\0') {
      return std::stoull(given);
    }
    return std::random_device{}();
  }

  Catch::ScopedMessage message_;
};

}  // namespace zerodb::sim
