#include "store/file.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace zerodb {

namespace {

namespace fs = std::filesystem;

Errc code_of(int number) {
  if (number == ENOSPC || number == EDQUOT) return Errc::full;
  return number == ENOENT ? Errc::not_found : Errc::io;
}

/// "cannot <doing> <path>: <why>", by errno.
tl::unexpected<Error> os_failure(std::string_view doing, const fs::path& path, int number = errno) {
  return fail(code_of(number), "cannot " + std::string(doing) + " " + path.string() + ": " +
                                   std::generic_category().message(number));
}

/// What the disk cannot read any more is damaged.
tl::unexpected<Error> read_failure(std::string_view doing, const fs::path& path) {
  const int number = errno;
  auto failure = os_failure(doing, path, number);
  if (std::ranges::find(damage_errnos, number) != damage_errnos.end())
    failure.value().code = Errc::corrupt;
  return failure;
}

/// Calls again for as long as a signal interrupts.
template <class Call>
auto uninterrupted(Call call) {
  auto answer = call();
  while (answer < 0 && errno == EINTR)
    answer = call();
  return answer;
}

}  // namespace

File::File(int descriptor, fs::path path) : descriptor_(descriptor), path_(std::move(path)) {}

File::File(File&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), path_(std::move(other.path_)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(path_, other.path_);
  return *this;
}

File::~File() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<File> File::open_for_reading(const fs::path& path) {
  const int fd = uninterrupted([&] { return ::open(path.c_str(), O_RDONLY | O_CLOEXEC); });
  if (fd < 0) return read_failure("open", path);
  return File(fd, path);
}

Result<File> File::create(const fs::path& path) {
  constexpr int flags = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;
  const int fd = uninterrupted([&] { return ::open(path.c_str(), flags, 0600); });
  if (fd < 0) return os_failure("create", path);
  return File(fd, path);
}

Status File::write_at(std::uint64_t offset, ByteView bytes) {
  while (!bytes.empty()) {
    const auto wrote = uninterrupted([&] {
      return ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    });
    if (wrote < 0) return os_failure("write", path_);
    if (wrote == 0) return os_failure("write", path_, EIO);
    bytes = bytes.subspan(static_cast<std::size_t>(wrote));
    offset += static_cast<std::uint64_t>(wrote);
  }
  return {};
}

Result<std::size_t> File::read_at(std::uint64_t offset, MutableBytes to) const {
  std::size_t done = 0;
  while (done < to.size()) {
    const auto got = uninterrupted([&] {
      return ::pread(descriptor_, to.data() + done, to.size() - done,
                     static_cast<off_t>(offset + done));
    });
    if (got < 0) return read_failure("read", path_);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return done;
}

Result<std::uint64_t> File::size() const {
  struct stat status {};
  if (::fstat(descriptor_, &status) != 0) return os_failure("look at", path_);
  return static_cast<std::uint64_t>(status.st_size);
}

Status File::truncate(std::uint64_t size) {
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) return os_failure("cut", path_);
  return {};
}

void File::drop_cached() const {
  (void)::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);  // a hint
}

void File::start_writeback() {
  // A hint: what it fails to begin, sync_data() still does.
  (void)::sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE);
}

Status File::sync_data() {
  if (::fdatasync(descriptor_) != 0) return os_failure("sync", path_);
  return {};
}

Status sync_folder(const fs::path& folder) {
  constexpr int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
  const int fd = uninterrupted([&] { return ::open(folder.c_str(), flags); });
  if (fd < 0) return os_failure("open folder", folder);
  const int synced = ::fsync(fd);
  const int number = errno;
  ::close(fd);
  if (synced != 0) return os_failure("sync folder", folder, number);
  return {};
}

Status make_folders(const fs::path& folder) {
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) return os_failure("make folder", folder, error.value());
  return {};
}

Result<DiskSpace> disk_space(const fs::path& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) return os_failure("measure", folder);
  return DiskSpace{.free_bytes = status.f_bavail * status.f_frsize,
                   .total_bytes = status.f_blocks * status.f_frsize};
}

Result<FolderLock> FolderLock::take(const fs::path& path) {
  constexpr int flags = O_RDWR | O_CREAT | O_CLOEXEC;
  const int fd = uninterrupted([&] { return ::open(path.c_str(), flags, 0600); });
  if (fd < 0) return os_failure("open", path);
  FolderLock lock(fd);
  if (uninterrupted([&] { return ::flock(fd, LOCK_EX | LOCK_NB); }) == 0) return lock;
  if (errno == EWOULDBLOCK) return fail(Errc::busy, "another process holds " + path.string());
  return os_failure("lock", path);
}

FolderLock::FolderLock(FolderLock&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)) {}

FolderLock::~FolderLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace zerodb
