#include "store/quarantine.hpp"

#include <charconv>
#include <map>
#include <system_error>

namespace zerodb {

namespace {

namespace fs = std::filesystem;

/// By number: "<number>-<name>". Files of other names are not ours and not touched.
std::map<std::uint64_t, fs::directory_entry> files_in(const fs::path& folder) {
  std::map<std::uint64_t, fs::directory_entry> files;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const auto name = it->path().filename().string();
    std::uint64_t number = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (bad == std::errc{} && *end == '-') files.emplace(number, *it);
  }
  return files;
}

std::uint64_t size_of(const fs::directory_entry& file) {
  std::error_code error;
  const auto size = file.file_size(error);
  return error ? 0 : size;
}

}  // namespace

Status Quarantine::prepare() {
  if (auto made = make_folders(folder_); !made) return made;
  const std::lock_guard guard(mutex_);
  count();
  static_cast<void>(trim_locked());  // what cannot be removed is no reason not to start
  return {};
}

void Quarantine::count() {
  size_ = {};
  for (const auto& [number, file] : files_in(folder_)) {
    ++size_.files;
    size_.bytes += size_of(file);
    next_ = std::max(next_, number + 1);
  }
}

bool Quarantine::is_disk_full() const {
  const auto space = disk_space(folder_);
  return space && space->free_bytes < options_.keep_free_bytes;
}

fs::path Quarantine::place_for(const fs::path& path) const {
  return folder_ / (std::to_string(next_) + "-" + path.filename().string().substr(0, 200));
}

void Quarantine::note_taken(std::uint64_t bytes) {
  ++next_;
  ++size_.files;
  size_.bytes += bytes;
}

Status Quarantine::take(const fs::path& path) {
  const std::lock_guard guard(mutex_);
  const auto to = place_for(path);
  std::error_code error;
  fs::rename(path, to, error);
  if (error == std::errc::no_such_file_or_directory) return {};
  if (error) {
    return fail(Errc::io, "cannot move " + path.string() + " to " + folder_.string() + ": " +
                              error.message());
  }
  note_taken(size_of(fs::directory_entry(to, error)));
  return trim_locked();
}

void Quarantine::keep(const fs::path& path) {
  const std::lock_guard guard(mutex_);
  std::error_code error;
  const auto bytes = fs::file_size(path, error);
  if (error || bytes > options_.bytes_max || is_disk_full()) return;
  fs::create_hard_link(path, place_for(path), error);
  if (!error) note_taken(bytes);
}

Status Quarantine::trim() {
  const std::lock_guard guard(mutex_);
  return trim_locked();
}

Status Quarantine::trim_locked() {
  const bool disk_full = is_disk_full();
  const auto fits = [&] {
    return !disk_full && size_.files <= options_.files_max && size_.bytes <= options_.bytes_max;
  };
  if (fits()) return {};
  count();  // people may have deleted some
  Status trimmed;
  for (const auto& [number, file] : files_in(folder_)) {
    if (fits()) break;
    const auto bytes = size_of(file);
    std::error_code error;
    fs::remove(file.path(), error);
    if (error) {  // the next ones may go all the same
      trimmed = fail(Errc::io, "cannot remove " + file.path().string() + ": " + error.message());
      continue;
    }
    size_.files -= std::min<std::uint64_t>(size_.files, 1);
    size_.bytes -= std::min(size_.bytes, bytes);
  }
  return trimmed;
}

Quarantine::Size Quarantine::size() const {
  const std::lock_guard guard(mutex_);
  return size_;
}

}  // namespace zerodb
