#pragma once
// The seed of a test case that draws what it does. It follows from the name of the case, so that a
// suite that passed passes again; SEED=n in the environment runs the cases with another one, as
// `make seeds` does with many.

#include <catch2/catch.hpp>
#include <cstdlib>

#include "store/bytes.hpp"
#include "store/hash.hpp"

namespace zerodb::test {

inline std::uint64_t seed_of_case() {
  if (const char* given = std::getenv("SEED"); given != nullptr && *given != '\0') {
    return std::stoull(given);
  }
  const auto name = Catch::getResultCapture().getCurrentTestName();
  return get_u32(blake2b_256("test-seed", {as_bytes(name)}));
}

}  // namespace zerodb::test
