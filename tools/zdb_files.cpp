#include "tools/zdb_files.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <climits>
#include <cstring>

#include "tools/terminal.hpp"
#include "tools/unfinished_files.hpp"

namespace zerodb::tools {

namespace {

constexpr int nothing_yet_ms = 10'000;
constexpr int links_followed_max = 40;  // as the kernel
constexpr mode_t all_may = 0777;

/// Whether what was written is on the disk now. Some file systems have no word for it: no failure.
bool is_synced(int outcome) {
  return outcome == 0 || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ||
         errno == EROFS;
}

Status sync_folder(const std::filesystem::path& folder, int (*sync)(int)) {
  const auto path = folder.empty() ? std::filesystem::path(".") : folder;
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return {};  // one may write to a folder that one may not read
  const bool synced = is_synced(sync(descriptor));
  const int number = errno;
  ::close(descriptor);
  if (synced) return {};
  return fail(system_error(path.string(), "cannot be written", number));
}

Error is_there(const std::string& name) {
  return {Errc::invalid, printable(name) + ": is there already; name a PATH to replace it"};
}

/// Where a link leads, whether or not there is anything yet: that is written, not the link.
std::filesystem::path end_of_links(std::filesystem::path path) {
  std::error_code ignored;
  for (int left = links_followed_max; left > 0 && std::filesystem::is_symlink(path, ignored);
       --left)
    path = path.parent_path() / std::filesystem::read_symlink(path, ignored);
  return path;
}

/// What the shell has opened under a name such as /dev/stdout or /dev/fd/3 is to be written to, not
/// replaced: its number here.
std::optional<int> own_descriptor(std::string_view path) {
  if (path == "/dev/stdout") return STDOUT_FILENO;
  if (path == "/dev/stderr") return STDERR_FILENO;
  for (const std::string_view folder : {"/dev/fd/", "/proc/self/fd/"}) {
    const auto number = path.starts_with(folder) ? parse_number(path.substr(folder.size()))
                                                 : std::optional<std::uint64_t>();
    if (number && *number <= INT_MAX) return static_cast<int>(*number);
  }
  return {};
}

}  // namespace

Error system_error(const std::string& name, const std::string& what, int number) {
  const auto code = number == ENOSPC || number == EDQUOT ? Errc::full : Errc::io;
  return {code, printable(name) + ": " + what + ": " + std::strerror(number)};
}

// --------------------------------------------------------------------------------------- input

InputFile::InputFile(int descriptor, std::string name)
    : descriptor_(descriptor), name_(std::move(name)) {}

InputFile::InputFile(InputFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      name_(std::move(other.name_)),
      waits_(other.waits_),
      size_(other.size_),
      end_(other.end_),
      mtime_ms_(other.mtime_ms_),
      changed_at_(other.changed_at_) {}

InputFile::~InputFile() {
  if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
}

Result<InputFile> InputFile::open(const std::filesystem::path& path) {
  const bool standard = path == "-";
  const auto name = standard ? std::string("stdin") : path.string();
  InputFile file(standard ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC), name);
  if (file.descriptor_ < 0) return fail(system_error(name, "cannot be read", errno));
  struct stat about {};
  if (::fstat(file.descriptor_, &about) != 0) {
    return fail(system_error(name, "cannot be read", errno));
  }
  if (S_ISDIR(about.st_mode)) {
    return fail(Errc::invalid,
                printable(name) + ": is a folder; use: zdb put -r " + printable(name));
  }
  file.waits_ = !S_ISREG(about.st_mode);
  if (file.waits_) return file;
  ::posix_fadvise(file.descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
  file.mtime_ms_ = std::int64_t{about.st_mtim.tv_sec} * 1000 + about.st_mtim.tv_nsec / 1'000'000;
  const auto offset = std::max<off_t>(::lseek(file.descriptor_, 0, SEEK_CUR), 0);
  file.end_ = about.st_size;
  file.changed_at_ = about.st_mtim;
  // Files such as those in /proc claim to be empty and are not.
  if (about.st_size > 0) {
    file.size_ = static_cast<std::uint64_t>(std::max<off_t>(about.st_size - offset, 0));
  }
  return file;
}

bool InputFile::has_grown() const {
  struct stat about {};
  return size_ && ::fstat(descriptor_, &about) == 0 && about.st_size > end_;
}

bool InputFile::has_changed() const {
  struct stat about {};
  if (!size_ || ::fstat(descriptor_, &about) != 0) return false;
  const auto& now = about.st_mtim;
  return now.tv_sec != changed_at_.tv_sec || now.tv_nsec != changed_at_.tv_nsec;
}

Result<std::size_t> InputFile::read(MutableBytes to) {
  for (;;) {
    if (waits_) {
      pollfd waiting{descriptor_, POLLIN, 0};
      if (::poll(&waiting, 1, nothing_yet_ms) == 0) return fail(Errc::busy, "nothing yet");
    }
    const auto count = ::read(descriptor_, to.data(), to.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) return fail(system_error(name_, "cannot be read", errno));
  }
}

// -------------------------------------------------------------------------------------- output

OutputFile::OutputFile(int descriptor, std::string name)
    : descriptor_(descriptor), name_(std::move(name)) {}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      name_(std::move(other.name_)),
      temporary_(std::move(other.temporary_)),
      target_(std::move(other.target_)),
      private_(other.private_),
      new_(other.new_) {
  other.temporary_.clear();
}

OutputFile::~OutputFile() {
  if (descriptor_ > STDOUT_FILENO) ::close(descriptor_);
  if (temporary_.empty()) return;
  unfinished_files().end(temporary_, [this] { return ::unlink(temporary_.c_str()); });
}

/// Opens the file that will be renamed to `target`.
void OutputFile::open_beside(std::filesystem::path target) {
  target_ = std::move(target);
  descriptor_ = unfinished_files().open_beside(target_, temporary_);
}

Result<OutputFile> OutputFile::create(const std::filesystem::path& path) {
  if (path == "-") return OutputFile(STDOUT_FILENO, "stdout");
  if (const auto number = own_descriptor(path.native())) {
    OutputFile file(::fcntl(*number, F_DUPFD_CLOEXEC, STDERR_FILENO + 1), path.string());
    if (file.descriptor_ >= 0) return file;
    return fail(system_error(file.name_, "cannot be written", errno));
  }
  std::error_code ignored;
  const auto kind = std::filesystem::status(path, ignored).type();
  if (kind == std::filesystem::file_type::directory) {
    return fail(Errc::io, printable(path.string()) + ": is a folder; name a file");
  }
  OutputFile file(-1, path.string());
  if (kind == std::filesystem::file_type::regular ||
      kind == std::filesystem::file_type::not_found) {
    file.open_beside(end_of_links(path));
  } else {
    file.descriptor_ = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  }
  if (file.descriptor_ < 0) {
    return fail(system_error(file.name_, "cannot be written", errno));
  }
  return file;
}

Result<OutputFile> OutputFile::create_new(const std::filesystem::path& path) {
  struct stat about {};
  if (::lstat(path.c_str(), &about) == 0) return fail(is_there(path.string()));
  OutputFile file(-1, path.string());
  file.new_ = true;
  file.open_beside(path);
  if (file.descriptor_ < 0) return fail(system_error(file.name_, "cannot be written", errno));
  return file;
}

Status OutputFile::write(ByteView bytes) {
  while (!bytes.empty()) {
    const auto count = ::write(descriptor_, bytes.data(), bytes.size());
    if (count >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(count));
    } else if (errno != EINTR) {
      return fail(system_error(name_, "cannot be written", errno));
    }
  }
  return {};
}

/// What replaces a file is for whom that was, as far as this user may say so; for nobody else.
void OutputFile::set_access() const {
  if (private_) return;
  struct stat old {};
  if (::stat(target_.c_str(), &old) != 0) {
    ::fchmod(descriptor_, new_file_mode());
    return;
  }
  mode_t mode = old.st_mode & all_may;
  // With a list of its own, those bits say what the list may give, not what the group has.
  if (::getxattr(target_.c_str(), "system.posix_acl_access", nullptr, 0) > 0)
    mode &= ~mode_t{S_IRWXG};
  const bool kept = ::fchown(descriptor_, old.st_uid, old.st_gid) == 0 ||
                    ::fchown(descriptor_, static_cast<uid_t>(-1), old.st_gid) == 0;
  if (!kept) mode &= ~mode_t{S_IRWXG};  // of another group
  ::fchmod(descriptor_, mode);
}

/// As rename() answers; EEXIST where nothing may be replaced, and there is something.
int OutputFile::put_in_place() const {
  const auto* from = temporary_.c_str();
  const auto* to = target_.c_str();
  if (!new_) return ::rename(from, to);
  if (::renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  // Some network file systems know only this.
  return ::link(from, to) == 0 ? ::unlink(from) : -1;
}

/// What was written where it stays: a pipe or a terminal has nothing to sync, which is no error.
Status OutputFile::finish_in_place() const {
  if (is_synced(::fsync(descriptor_))) return {};
  return fail(system_error(name_, "cannot be written", errno));
}

Status OutputFile::finish(std::optional<std::int64_t> mtime_ms) {
  if (temporary_.empty()) return finish_in_place();
  set_access();
  if (mtime_ms) {
    const auto ms = (*mtime_ms % 1000 + 1000) % 1000;
    timespec times[2] = {{0, UTIME_OMIT}, {whole_seconds(*mtime_ms), ms * 1'000'000}};
    ::futimens(descriptor_, times);
  }
  // Errors of delayed writing show here at the latest.
  const bool synced = is_synced(::fsync(descriptor_));
  const int sync_error = errno;
  const bool closed = ::close(std::exchange(descriptor_, -1)) == 0;
  if (!synced || !closed) {
    return fail(system_error(name_, "cannot be written", synced ? errno : sync_error));
  }
  const auto number =
      unfinished_files().end(temporary_, [this] { return put_in_place() == 0 ? 0 : errno; });
  if (number == EEXIST) return fail(is_there(name_));
  if (number != 0) return fail(system_error(name_, "cannot be put in place", number));
  temporary_.clear();
  return sync_folder(target_.parent_path(), ::fsync);
}

Status sync_disk_of(const std::filesystem::path& folder) {
  return sync_folder(folder, ::syncfs);
}

}  // namespace zerodb::tools
