#include "tests/support/failing_disk.hpp"

#include <linux/fcntl.h>  // libc's own declares open() in a way that bars another
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <mutex>

namespace {

std::atomic<int> sync_error = 0;
std::atomic<int> write_error = 0;
std::atomic<int> read_error = 0;
std::atomic<int> open_error = 0;
std::atomic<bool> recording = false;
std::mutex record_mutex;
std::string only;  // guarded, as what follows
std::vector<std::string> recorded;

std::string path_of(int fd) {
  const auto link = "/proc/self/fd/" + std::to_string(fd);
  std::array<char, 4096> path{};
  const auto size = ::readlink(link.c_str(), path.data(), path.size());
  return {path.data(), size < 0 ? 0 : static_cast<std::size_t>(size)};
}

void note(int fd) {
  if (!recording) return;
  const auto path = path_of(fd);
  const std::lock_guard guard(record_mutex);
  recorded.push_back(path);
}

/// Sets errno, if the call is to fail.
bool fails(int error, const std::string& path) {
  const std::lock_guard guard(record_mutex);
  if (path.find(only) == std::string::npos) return false;
  errno = error;
  return true;
}

bool fails(int error, int fd) {
  return error != 0 && fails(error, path_of(fd));
}

long sync_unless(int error, long number, int fd) {
  note(fd);
  return fails(error, fd) ? -1 : ::syscall(number, fd);
}

}  // namespace

extern "C" int fsync(int fd) {
  return static_cast<int>(sync_unless(sync_error, SYS_fsync, fd));
}

extern "C" int fdatasync(int fd) {
  return static_cast<int>(sync_unless(sync_error, SYS_fdatasync, fd));
}

extern "C" ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  return fails(write_error, fd) ? -1 : ::syscall(SYS_pwrite64, fd, bytes, size, offset);
}

extern "C" ssize_t pread(int fd, void* bytes, size_t size, off_t offset) {
  return fails(read_error, fd) ? -1 : ::syscall(SYS_pread64, fd, bytes, size, offset);
}

extern "C" int open(const char* path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  const auto mode = va_arg(more, unsigned);  // of no meaning where no file is made
  va_end(more);
  const int error = open_error;
  if (error != 0 && fails(error, std::string(path))) return -1;
  return static_cast<int>(::syscall(SYS_openat, AT_FDCWD, path, flags, mode));
}

namespace zerodb::test {

FailingDisk::FailingDisk(DiskFaults faults) {
  {
    const std::lock_guard guard(record_mutex);
    recorded.clear();
    only = faults.only;
  }
  recording = true;
  sync_error = faults.sync_error;
  write_error = faults.write_error;
  read_error = faults.read_error;
  open_error = faults.open_error;
}

FailingDisk::~FailingDisk() {
  recording = false;
  sync_error = 0;
  write_error = 0;
  read_error = 0;
  open_error = 0;
}

std::vector<std::string> FailingDisk::synced() const {
  const std::lock_guard guard(record_mutex);
  return recorded;
}

}  // namespace zerodb::test
