#pragma once
// Local files as zdb reads and writes them: sources for put, and files that appear whole or not at
// all for get. One thread an object.

#include <ctime>
#include <filesystem>
#include <optional>

#include "bus/client.hpp"

namespace zerodb::tools {

/// "NAME: WHAT: the system's words"; `full` for what is out of space, else `io`.
Error system_error(const std::string& name, const std::string& what, int number);

/// A file, pipe or stdin to be stored.
class InputFile {
 public:
  /// "-" is stdin. `invalid` for a folder, `io` when it cannot be opened.
  static Result<InputFile> open(const std::filesystem::path& path);

  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile();

  /// Known for regular files only.
  std::optional<std::uint64_t> size() const { return size_; }
  std::optional<std::int64_t> mtime_ms() const { return mtime_ms_; }

  /// Whether there is more in it by now than its size says.
  bool has_grown() const;
  /// Whether it was written since it was opened: what was read may be of before and after.
  bool has_changed() const;

  /// A ByteSource: `busy` when a pipe has had nothing to give for some seconds.
  Result<std::size_t> read(MutableBytes to);

 private:
  InputFile(int descriptor, std::string name);

  int descriptor_;
  std::string name_;
  bool waits_ = false;  ///< a pipe or terminal, which may have nothing yet
  std::optional<std::uint64_t> size_;
  std::int64_t end_ = 0;  ///< of a regular file, when it was opened
  std::optional<std::int64_t> mtime_ms_;
  timespec changed_at_{};  ///< of a regular file, when it was opened
};

/// What is fetched: written under another name in the same folder, renamed at the end. What it
/// replaces hands on its mode, group and owner. "-" is stdout; devices, pipes, and what the shell
/// has opened (/dev/stdout) are written as they are.
class OutputFile {
 public:
  static Result<OutputFile> create(const std::filesystem::path& path);
  /// For names that somebody else chose: `invalid` if there is anything of that name, at the end
  /// too.
  static Result<OutputFile> create_new(const std::filesystem::path& path);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();  ///< removes what was not finished

  /// Whatever the umask allows, only this user may read it.
  void keep_private() { private_ = true; }

  /// A ByteSink: `full` when the disk is, `io` otherwise.
  Status write(ByteView bytes);
  /// After that a power cut takes nothing of it; before, it leaves what was there. What is written
  /// as it is is synced where it can be, so that errors of delayed writing show.
  Status finish(std::optional<std::int64_t> mtime_ms);

 private:
  OutputFile(int descriptor, std::string name);
  void open_beside(std::filesystem::path target);
  Status finish_in_place() const;
  void set_access() const;
  int put_in_place() const;

  int descriptor_;
  std::string name_;
  std::filesystem::path temporary_;  ///< empty: written in place
  std::filesystem::path target_;
  bool private_ = false;
  bool new_ = false;  ///< replaces nothing
};

/// Has all that was written to the disk that `folder` is on survive a power cut: once for
/// thousands of files, each of which would take the time of some writes.
Status sync_disk_of(const std::filesystem::path& folder);

}  // namespace zerodb::tools
