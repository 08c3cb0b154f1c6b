#include "tools/unfinished_files.hpp"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <thread>

#include "store/hash.hpp"

namespace zerodb::tools {

namespace {

constexpr int names_tried_max = 16;
constexpr mode_t private_mode = 0600;
constexpr mode_t usual_mode = 0666;

/// A name of its own: in containers that share a folder, processes have one number.
std::filesystem::path temporary_beside(const std::filesystem::path& target) {
  std::array<std::uint8_t, 8> number{};
  fill_random(number);
  return target.parent_path() / (".zdb-" + to_hex(number) + ".part");
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

}  // namespace

int UnfinishedFiles::open_beside(const std::filesystem::path& target, std::filesystem::path& path) {
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

void UnfinishedFiles::remove_all() {
  mutex_.lock();  // and kept
  for (const auto& path : paths_)
    ::unlink(path.c_str());
}

UnfinishedFiles& unfinished_files() {
  static auto* const all = new UnfinishedFiles;  // outlives the thread that waits for signals
  return *all;
}

mode_t new_file_mode() {
  static const mode_t mode = usual_mode & ~current_umask();
  return mode;
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
    unfinished_files().remove_all();
    ::signal(signal, SIG_DFL);
    ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
    ::kill(::getpid(), signal);
  }).detach();
}

}  // namespace zerodb::tools
