#include "store/open_files.hpp"

namespace zerodb {

std::shared_ptr<const File> OpenFiles::recall(const std::string& name) {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) return nullptr;
  lines_.splice(lines_.begin(), lines_, found->second);
  return found->second->second;
}

Result<std::shared_ptr<const File>> OpenFiles::get(const std::filesystem::path& path) {
  // Opening under the lock: drop() then never comes between opening a file and keeping it.
  const std::lock_guard guard(mutex_);
  const auto& name = path.native();
  if (auto kept = recall(name)) return kept;
  auto opened = File::open_for_reading(path);
  if (!opened) return fail(std::move(opened.error()));
  auto file = std::make_shared<const File>(std::move(*opened));
  lines_.emplace_front(name, file);
  by_name_[name] = lines_.begin();
  if (lines_.size() > files_max_) {
    by_name_.erase(lines_.back().first);
    lines_.pop_back();
  }
  return file;
}

void OpenFiles::drop(const std::filesystem::path& path) {
  const std::lock_guard guard(mutex_);
  const auto found = by_name_.find(path.native());
  if (found == by_name_.end()) return;
  lines_.erase(found->second);
  by_name_.erase(found);
}

}  // namespace zerodb
