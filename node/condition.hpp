#pragma once
// Writes that are done only if a certain version stands. node/DESIGN.md says what that promises and
// why. One thread: the node's executor.

#include "node/locate.hpp"

namespace zerodb {

/// The version that replicas must find standing, or an older one, for `condition` to hold (zero:
/// there is no trace of the object); nothing without a condition. `conflict` if a read quorum knows
/// that it does not hold, `no_quorum` if too few answer to tell. The clock is beyond that version
/// then.
Task<Result<Expected>> expected_by(CorePtr core, std::string_view verb, std::string name,
                                   WriteCondition condition);

/// `conflict`, saying what stands and what was expected (nothing: no object); `no_quorum` if it is
/// in doubt what stands.
tl::unexpected<Error> another_stands(std::string_view verb, std::string_view name,
                                     const Located& standing, std::optional<Version> expected);

/// As messages carry it.
inline std::optional<std::uint64_t> as_field(const Expected& expected) {
  return expected ? std::optional(expected->value) : std::nullopt;
}

}  // namespace zerodb
