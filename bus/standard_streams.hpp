#pragma once
// What a program finds as its standard streams.

#include <fcntl.h>
#include <unistd.h>

namespace zerodb {

/// A standard stream that the program was started without is open from now on, and fails when it is
/// used. Else the next file or socket took its number, and was read or written in its place. Called
/// first in main().
inline void hold_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0) continue;
    // The lowest number that is free: this one.
    const int mode = stream == STDIN_FILENO ? O_WRONLY : O_RDONLY;
    if (::open("/dev/null", mode) != stream) ::_exit(1);
  }
}

}  // namespace zerodb
