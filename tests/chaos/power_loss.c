/* Preloaded into zerodb-node by test_power.py: writes down what happens to the files of one folder.
 *
 *   POWER_LOSS_FOLDER   the data folder, an absolute path
 *   POWER_LOSS_JOURNAL  a file outside of it, to which a record is added for each change and sync
 *
 * After a kill -9, power_loss.py works out from the journal what a disk may hold if the power had
 * failed at that moment. Nothing is changed here but the order of threads: a change and its record
 * are one step. A sync is recorded when it is done, with the number of records that it covers: those
 * that were there when it began. sync_file_range() promises nothing and is not recorded.
 *
 * Not modelled, so the process ends: shared writable mappings, O_DIRECT, O_SYNC, holes. Not seen:
 * what the C library writes for its own FILEs; power_loss.py notices if such a file matters.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind { CREATE = 1, RESIZE, WRITE, RENAME, LINK, UNLINK, MKDIR, RMDIR, SYNC, SYNC_FOLDER };

struct record {
  uint32_t kind, path_bytes, to_bytes, padding;
  uint64_t inode, offset, bytes;
};

enum { files_max = 65536 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static const char *folder;
static size_t folder_bytes;
static int journal = -1;
static uint64_t records;
static char *paths[files_max]; /* of open files below the folder, by descriptor */

#define REAL(name) \
  static __typeof__(&name) real; \
  if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static void die(const char *why) {
  dprintf(2, "power_loss: cannot model %s\n", why);
  abort();
}

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("POWER_LOSS_JOURNAL");
  if (!path) return;
  journal = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (journal < 0) die("without its journal");
  folder = getenv("POWER_LOSS_FOLDER");
  folder_bytes = strlen(folder);
}

/* ------------------------------------------------------------------------------------ records */

static void add(enum kind kind, const char *path, const char *to, uint64_t inode, uint64_t offset,
                const void *data, uint64_t bytes) {
  struct record head = {.kind = kind,
                        .path_bytes = path ? (uint32_t)strlen(path) : 0,
                        .to_bytes = to ? (uint32_t)strlen(to) : 0,
                        .inode = inode,
                        .offset = offset,
                        .bytes = data ? bytes : 0};
  struct iovec parts[] = {{&head, sizeof head},
                          {(void *)path, head.path_bytes},
                          {(void *)to, head.to_bytes},
                          {(void *)data, head.bytes}};
  size_t total = 0;
  for (int i = 0; i < 4; ++i) total += parts[i].iov_len;
  if (syscall(SYS_writev, journal, parts, 4) != (long)total) die("with a full disk for its journal");
  ++records;
}

/* The absolute path of `path`; whether it is below the folder. */
static int find(int at, const char *path, char *full) {
  if (journal < 0) return 0;
  if (path[0] == '/') {
    if (strlen(path) >= PATH_MAX) return 0;
    strcpy(full, path);
  } else {
    char link[64];
    snprintf(link, sizeof link, at == AT_FDCWD ? "/proc/self/cwd" : "/proc/self/fd/%d", at);
    const ssize_t n = readlink(link, full, PATH_MAX - 1);
    if (n < 0 || (size_t)n + strlen(path) + 2 > PATH_MAX) return 0;
    full[n] = '/';
    strcpy(full + n + 1, path);
  }
  return strncmp(full, folder, folder_bytes) == 0 &&
         (full[folder_bytes] == '/' || full[folder_bytes] == 0);
}

static void forget(int fd) {
  if (fd < 0 || fd >= files_max || !paths[fd]) return;
  free(paths[fd]);
  paths[fd] = NULL;
}

/* A number that fclose() gave back may be another thing's by now. */
static int is_ours(int fd) {
  if (fd < 0 || fd >= files_max || !paths[fd]) return 0;
  struct stat status;
  return fstat(fd, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

static uint64_t inode_of(int fd, uint64_t *size) {
  struct stat status;
  if (fstat(fd, &status) != 0) die("a file that cannot be looked at");
  if (size) *size = (uint64_t)status.st_size;
  return status.st_ino;
}

/* Does `call`, and `note` with it if it went well. */
#define STEP(type, call, note) \
  pthread_mutex_lock(&lock); \
  const type done = (call); \
  const int number = errno; \
  if (done >= 0) { note; } \
  pthread_mutex_unlock(&lock); \
  errno = number; \
  return done

/* -------------------------------------------------------------------------------------- files */

static void opened(int fd, const char *path, int flags, int existed) {
  if (fd >= files_max) die("so many open files");
  if ((flags & O_ACCMODE) != O_RDONLY && (flags & (O_DIRECT | O_DSYNC))) die("O_DIRECT or O_SYNC");
  if ((flags & O_TMPFILE) == O_TMPFILE) die("O_TMPFILE");
  forget(fd);
  paths[fd] = strdup(path);
  if (!existed) add(CREATE, path, NULL, inode_of(fd, NULL), 0, NULL, 0);
  else if (flags & O_TRUNC) add(RESIZE, NULL, NULL, inode_of(fd, NULL), 0, NULL, 0);
}

static int is_there(const char *path) {
  struct stat status;
  return lstat(path, &status) == 0;
}

int openat(int at, const char *path, int flags, ...) {
  REAL(openat);
  va_list more;
  va_start(more, flags);
  const mode_t mode = va_arg(more, mode_t);
  va_end(more);
  char full[PATH_MAX];
  if (!find(at, path, full)) {
    const int fd = real(at, path, flags, mode);
    forget(fd);
    return fd;
  }
  int existed = 1;
  STEP(int, (existed = is_there(full), real(at, path, flags, mode)),
       opened(done, full, flags, existed));
}

int open(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const mode_t mode = va_arg(more, mode_t);
  va_end(more);
  return openat(AT_FDCWD, path, flags, mode);
}

int close(int fd) {
  REAL(close);
  pthread_mutex_lock(&lock); /* or the next file of that number would be forgotten */
  forget(fd);
  const int done = real(fd);
  const int number = errno;
  pthread_mutex_unlock(&lock);
  errno = number;
  return done;
}

/* ------------------------------------------------------------------------------------- writes */

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t offset) {
  REAL(pwrite);
  if (!is_ours(fd)) return real(fd, data, bytes, offset);
  STEP(ssize_t, real(fd, data, bytes, offset),
       add(WRITE, NULL, NULL, inode_of(fd, NULL), (uint64_t)offset, data, (uint64_t)done));
}

ssize_t write(int fd, const void *data, size_t bytes) {
  REAL(write);
  if (!is_ours(fd)) return real(fd, data, bytes);
  STEP(ssize_t, real(fd, data, bytes),
       add(WRITE, NULL, NULL, inode_of(fd, NULL), (uint64_t)(lseek(fd, 0, SEEK_CUR) - done), data,
           (uint64_t)done));
}

int ftruncate(int fd, off_t size) {
  REAL(ftruncate);
  if (!is_ours(fd)) return real(fd, size);
  STEP(int, real(fd, size),
       add(RESIZE, NULL, NULL, inode_of(fd, NULL), (uint64_t)size, NULL, 0));
}

static void grown(int fd) {
  uint64_t size = 0;
  const uint64_t inode = inode_of(fd, &size);
  add(RESIZE, NULL, NULL, inode, size, NULL, 0);
}

int fallocate(int fd, int mode, off_t offset, off_t bytes) {
  REAL(fallocate);
  if (!is_ours(fd)) return real(fd, mode, offset, bytes);
  if (mode & ~FALLOC_FL_KEEP_SIZE) die("holes");
  STEP(int, real(fd, mode, offset, bytes), grown(fd));
}

int posix_fallocate(int fd, off_t offset, off_t bytes) {
  return fallocate(fd, 0, offset, bytes) == 0 ? 0 : errno;
}

void *mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset) {
  if (is_ours(fd) && (protection & PROT_WRITE) && (flags & MAP_SHARED)) die("a shared mapping");
  return (void *)syscall(SYS_mmap, at, bytes, protection, flags, fd, offset);
}

/* -------------------------------------------------------------------------------------- names */

#define TWO_NAMES(kind, call) \
  char full[PATH_MAX], target[PATH_MAX]; \
  const int ours = find(AT_FDCWD, from, full); \
  if (ours != find(AT_FDCWD, to, target)) die("a name that leaves or enters the folder"); \
  if (!ours) return call; \
  STEP(int, call, add(kind, full, target, 0, 0, NULL, 0))

int rename(const char *from, const char *to) {
  REAL(rename);
  TWO_NAMES(RENAME, real(from, to));
}

int link(const char *from, const char *to) {
  REAL(link);
  TWO_NAMES(LINK, real(from, to));
}

int symlink(const char *from, const char *to) {
  REAL(symlink);
  char full[PATH_MAX];
  if (find(AT_FDCWD, to, full)) die("a symbolic link");
  return real(from, to);
}

int mkdir(const char *path, mode_t mode) {
  REAL(mkdir);
  char full[PATH_MAX];
  if (!find(AT_FDCWD, path, full)) return real(path, mode);
  STEP(int, real(path, mode), add(MKDIR, full, NULL, 0, 0, NULL, 0));
}

int unlinkat(int at, const char *path, int flags) {
  REAL(unlinkat);
  char full[PATH_MAX];
  if (!find(at, path, full)) return real(at, path, flags);
  const enum kind kind = flags & AT_REMOVEDIR ? RMDIR : UNLINK;
  STEP(int, real(at, path, flags), add(kind, full, NULL, 0, 0, NULL, 0));
}

int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }

int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }

int remove(const char *path) {
  if (unlink(path) == 0) return 0;
  return errno == EISDIR ? rmdir(path) : -1;
}

/* -------------------------------------------------------------------------------------- syncs */

static int sync_and_note(int fd, int (*real)(int)) {
  if (!is_ours(fd)) return real(fd);
  struct stat status;
  char path[PATH_MAX];
  pthread_mutex_lock(&lock);
  const uint64_t covers = records;
  if (fstat(fd, &status) != 0) die("a file that cannot be looked at");
  strcpy(path, paths[fd]);
  pthread_mutex_unlock(&lock);
  const enum kind kind = S_ISDIR(status.st_mode) ? SYNC_FOLDER : SYNC;
  STEP(int, real(fd), add(kind, path, NULL, status.st_ino, covers, NULL, 0));
}

int fsync(int fd) {
  REAL(fsync);
  return sync_and_note(fd, real);
}

int fdatasync(int fd) {
  REAL(fdatasync);
  return sync_and_note(fd, real);
}
