#pragma once
// What the programs answer their shell. Scripts rely on these numbers. Pure functions.

#include "store/result.hpp"

namespace zerodb {

enum class ExitCode : int {
  done = 0,
  failed = 1,
  usage = 2,
  not_found = 3,
  denied = 4,
  unreachable = 5,  ///< no quorum, or no node answered
  damaged = 6,      ///< beyond repair
  full = 7,
  conflict = 8,  ///< another version stands than was expected
};

constexpr ExitCode exit_code_of(Errc code) {
  switch (code) {
    case Errc::not_found:
      return ExitCode::not_found;
    case Errc::corrupt:
      return ExitCode::damaged;
    case Errc::denied:
      return ExitCode::denied;
    case Errc::timeout:
    case Errc::no_quorum:
      return ExitCode::unreachable;
    case Errc::full:
      return ExitCode::full;
    case Errc::conflict:
      return ExitCode::conflict;
    case Errc::busy:
    case Errc::io:
    case Errc::invalid:
      return ExitCode::failed;
  }
  return ExitCode::failed;
}

}  // namespace zerodb
