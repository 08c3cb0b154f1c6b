#pragma once
// Files that are written under a name of their own until they are whole, so that what ends the
// program before can remove them. Thread-safe.

#include <sys/types.h>

#include <filesystem>
#include <mutex>
#include <set>

namespace zerodb::tools {

class UnfinishedFiles {
 public:
  /// Opens a new file beside `target`, for this user only, whose name is written to `path`; -1 and
  /// errno if that fails. A file that is there already is somebody else's.
  int open_beside(const std::filesystem::path& target, std::filesystem::path& path);

  /// Ends with `how()`, which puts `path` in its place or removes it: a signal finds it either
  /// unfinished or gone.
  template <class End>
  auto end(const std::filesystem::path& path, End how) {
    const std::lock_guard lock(mutex_);
    paths_.erase(path);
    return how();
  }

  /// Before the process ends: there will be no more of them.
  void remove_all();

 private:
  std::mutex mutex_;
  std::set<std::filesystem::path> paths_;
};

/// Those of this process.
UnfinishedFiles& unfinished_files();

/// What the umask leaves a new file. Asking for it means changing it for a moment: to be called
/// once before other threads are started.
mode_t new_file_mode();

/// True if who started the program wants it to live through that signal, as nohup does.
bool is_ignored(int signal);

/// From now on SIGINT, SIGTERM, SIGHUP and SIGQUIT, unless ignored, remove unfinished files before
/// they end the program. To be called before other threads are started.
void remove_unfinished_files_on_signals();

}  // namespace zerodb::tools
