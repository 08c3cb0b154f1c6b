#pragma once
// Recovery text: an owner's or a mesh's seed as letters and digits that survive paper. Two rows of
// six groups of five characters from a 32-letter alphabet without look-alikes. Each row is a
// Reed-Solomon codeword over GF(32) with two check characters, so that one mistyped character in a
// row is found by its place; a BLAKE2b checksum over all catches everything else. Pure functions.

#include <string>

#include "store/keys.hpp"

namespace zerodb {

/// Whose seed it is: the checksum tells, so that neither is taken for the other.
enum class RecoveryKind { owner, mesh };

std::string recovery_text(const Seed& seed, RecoveryKind kind = RecoveryKind::owner);

/// Case, spaces, dashes and line ends do not matter. `invalid`, naming the row, group and
/// character that is wrong and what it probably should be, when the text was mistyped. A text that
/// needs mending is never accepted; nor is one of the other kind, which the message says.
Result<Seed> seed_from_recovery_text(std::string_view text,
                                     RecoveryKind kind = RecoveryKind::owner);

}  // namespace zerodb
