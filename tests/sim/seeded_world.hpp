#pragma once
// A world for a test case. Its seed follows from the name of the case, so that a suite that passed
// passes again; SEED=n in the environment runs the cases with another one, as `make seeds` does
// with many. A failing case prints its seed. One thread.

#include <catch2/catch.hpp>
#include <cstdlib>

#include "store/bytes.hpp"
#include "store/hash.hpp"
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
    const auto name = Catch::getResultCapture().getCurrentTestName();
    return get_u32(blake2b_256("test-seed", {as_bytes(name)}));
  }

  Catch::ScopedMessage message_;
};

}  // namespace zerodb::sim
