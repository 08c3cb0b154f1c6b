#include "tools/zdb_files.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <csignal>
#include <cstring>
#include <mutex>
#include <set>
#include <thread>

#include "store/hash.hpp"
#include "tools/terminal.hpp"

namespace zerodb::tools {

namespace {

constexpr int nothing_yet_ms = 10'000;
constexpr int names_tried_max = 16;
constexpr mode_t private_mode = 0600;
constexpr mode_t usual_mode = 0666;
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

/// A name of its own: in containers that share a folder, processes have one number.
std::filesystem::path temporary_beside(const std::filesystem::path& target) {
  std::array<std::uint8_t, 8> number{};
  fill_random(number);
  return target.parent_path() / (".zdb-" + to_hex(number) + ".part");
}

class Unfinished {
 public:
  /// Opens a new file beside `target`, whose name is written to `path`; -1 if that fails. A file
  /// that is there already is somebody else's.
  int open_beside(const std::filesystem::path& target, std::filesystem::path& path) {
    const std::lock_guard lock(mutex_);
    for (int tries_left = names_tried_max;;) {
      const auto name = temporary_beside(target);
      const int descriptor =
          ::open(name.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, private_mode);
      if (descriptor < 0 && errno == EEXIST && --tries_left > 0) continue;
      if (descriptor >= 0) path = *paths_.insert(name).first;
      return descriptor;
    }
  }
  /// Under the lock, so that a signal finds a file either unfinished or in its place.
  template <class End>
  auto end(const std::filesystem::path& path, End how) {
    const std::lock_guard lock(mutex_);
    paths_.erase(path);
    return how();
  }
  /// Before the process ends: the lock is kept, so that there will be no more files.
  void remove_all() {
    mutex_.lock();
    for (const auto& path : paths_)
      ::unlink(path.c_str());
  }

 private:
  std::mutex mutex_;
  std::set<std::filesystem::path> paths_;
};

Unfinished& unfinished() {
  static auto* const all = new Unfinished;  // outlives the thread that waits for signals
  return *all;
}

sigset_t ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    if (!is_ignored(signal)) sigaddset(&signals, signal);
  }
  return signals;
}

mode_t current_umask() {
  const auto mask = ::umask(0);
  ::umask(mask);
  return mask;
}

/// Made at start, as asking for it means changing it.
mode_t new_file_mode() {
  static const mode_t mode = usual_mode & ~current_umask();
  return mode;
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
      mtime_ms_(other.mtime_ms_) {}

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
  unfinished().end(temporary_, [this] { return ::unlink(temporary_.c_str()); });
}

/// Opens the file that will be renamed to `path`. A link is followed: its file is replaced, not it.
void OutputFile::open_beside(const std::filesystem::path& path) {
  std::error_code ignored;
  const auto linked = std::filesystem::is_symlink(path, ignored);
  target_ = linked ? std::filesystem::weakly_canonical(path, ignored) : path;
  descriptor_ = unfinished().open_beside(target_, temporary_);
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
    file.open_beside(path);
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

Status OutputFile::finish(std::optional<std::int64_t> mtime_ms) {
  if (temporary_.empty()) return {};
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
      unfinished().end(temporary_, [this] { return put_in_place() == 0 ? 0 : errno; });
  if (number == EEXIST) return fail(is_there(name_));
  if (number != 0) return fail(system_error(name_, "cannot be put in place", number));
  temporary_.clear();
  return sync_folder(target_.parent_path(), ::fsync);
}

Status sync_disk_of(const std::filesystem::path& folder) {
  return sync_folder(folder, ::syncfs);
}

bool is_ignored(int signal) {
  struct sigaction action {};
  return ::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN;
}

void remove_unfinished_files_on_signals() {
  static_cast<void>(new_file_mode());
  // These come to whoever writes, who is told by the error, too.
  for (const int signal : {SIGPIPE, SIGXFSZ})
    ::signal(signal, SIG_IGN);
  const auto signals = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  std::thread([signals] {
    int signal = 0;
    ::sigwait(&signals, &signal);
    unfinished().remove_all();
    ::signal(signal, SIG_DFL);
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    ::kill(::getpid(), signal);
  }).detach();
}

}  // namespace zerodb::tools
