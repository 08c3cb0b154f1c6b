#include "tests/support/failing_disk.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>

namespace {

std::atomic<int> sync_error = 0;
std::atomic<int> write_error = 0;
std::atomic<bool> recording = false;
std::mutex record_mutex;
std::vector<std::string> recorded;

void note(int fd) {
  if (!recording) return;
  const auto link = "/proc/self/fd/" + std::to_string(fd);
  std::array<char, 4096> path{};
  const auto size = ::readlink(link.c_str(), path.data(), path.size());
  const std::lock_guard guard(record_mutex);
  recorded.emplace_back(path.data(), size < 0 ? 0 : static_cast<std::size_t>(size));
}

long unless(int error, long number, int fd) {
  note(fd);
  if (error == 0) return ::syscall(number, fd);
  errno = error;
  return -1;
}

}  // namespace

extern "C" int fsync(int fd) {
  return static_cast<int>(unless(sync_error, SYS_fsync, fd));
}

extern "C" int fdatasync(int fd) {
  return static_cast<int>(unless(sync_error, SYS_fdatasync, fd));
}

extern "C" ssize_t pwrite(int fd, const void* bytes, size_t size, off_t offset) {
  if (const int error = write_error; error != 0) {
    errno = error;
    return -1;
  }
  return ::syscall(SYS_pwrite64, fd, bytes, size, offset);
}

namespace zerodb::test {

FailingDisk::FailingDisk(DiskFaults faults) {
  {
    const std::lock_guard guard(record_mutex);
    recorded.clear();
  }
  recording = true;
  sync_error = faults.sync_error;
  write_error = faults.write_error;
}

FailingDisk::~FailingDisk() {
  recording = false;
  sync_error = 0;
  write_error = 0;
}

std::vector<std::string> FailingDisk::synced() const {
  const std::lock_guard guard(record_mutex);
  return recorded;
}

}  // namespace zerodb::test
