/* Preloaded into zerodb-node by test_network.py, into zdb by test_commands.py: a disk that fails.
 *
 *   FAILING_DISK_FOLDER  the data folder, a file system of its own
 *   FAILING_DISK_SWITCH  while this file exists, every write to a file on that file system, every sync of one and every
 *                        rename there fails with EIO. Reads go on, as they mostly do on a real one.
 *   FAILING_DISK_SYNCS   with any value: no sync succeeds, of anything.
 *   FAILING_DISK_ENTRIES after so many entries of folders no more can be read.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static const char *trigger;
static dev_t disk;
static int no_syncs;
static long entries_left = LONG_MAX;

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

__attribute__((constructor)) static void begin(void) {
  no_syncs = getenv("FAILING_DISK_SYNCS") != NULL;
  const char *entries = getenv("FAILING_DISK_ENTRIES");
  if (entries) entries_left = atol(entries);
  const char *folder = getenv("FAILING_DISK_FOLDER");
  struct stat status;
  if (!folder || stat(folder, &status) != 0) return;
  disk = status.st_dev;
  trigger = getenv("FAILING_DISK_SWITCH");
}

static int fails(void) {
  const int before = errno;
  const int failing = trigger && access(trigger, F_OK) == 0;
  errno = before;
  return failing;
}

/* Sockets and event descriptors are written to as well. */
static int fails_for(int fd) {
  struct stat status;
  if (!fails() || fstat(fd, &status) != 0 || status.st_dev != disk) return 0;
  return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode);
}

static int io_error(void) {
  errno = EIO;
  return -1;
}

struct dirent *readdir(DIR *folder) {
  REAL(readdir);
  if (entries_left-- > 0) return real(folder);
  errno = EIO;
  return NULL;
}

ssize_t write(int fd, const void *data, size_t bytes) {
  REAL(write);
  return fails_for(fd) ? io_error() : real(fd, data, bytes);
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  REAL(pwrite);
  return fails_for(fd) ? io_error() : real(fd, data, bytes, offset);
}

ssize_t pwrite64(int fd, const void *data, size_t bytes, off64_t offset) {
  REAL(pwrite64);
  return fails_for(fd) ? io_error() : real(fd, data, bytes, offset);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
  REAL(writev);
  return fails_for(fd) ? io_error() : real(fd, parts, count);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset) {
  REAL(pwritev);
  return fails_for(fd) ? io_error() : real(fd, parts, count, offset);
}

int fsync(int fd) {
  REAL(fsync);
  return no_syncs || fails_for(fd) ? io_error() : real(fd);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  return no_syncs || fails_for(fd) ? io_error() : real(fd);
}

int syncfs(int fd) {
  REAL(syncfs);
  return no_syncs || fails_for(fd) ? io_error() : real(fd);
}

int rename(const char *from, const char *to) {
  REAL(rename);
  struct stat status;
  if (fails() && stat(from, &status) == 0 && status.st_dev == disk) return io_error();
  return real(from, to);
}
