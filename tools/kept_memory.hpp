#pragma once
// What a program's allocator does with large blocks that were freed.

#include <malloc.h>

namespace zerodb::tools {

/// From now on blocks of up to some megabytes that were freed are used again. By default glibc
/// gives them back to the system, and each message of a mebibyte, which libzmq allocates, then
/// costs 256 page faults: more than all else that a client does with it. For programs that live for
/// one job; a process keeps what it once needed. Called first in main().
inline void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the most that it takes
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
#endif
}

}  // namespace zerodb::tools
