#pragma once
// The files read last, kept open: reading the chunks of a blob opens its file once. Thread-safe.

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "store/file.hpp"

namespace zerodb {

class OpenFiles {
 public:
  explicit OpenFiles(std::size_t files_max) : files_max_(files_max) {}

  /// The file, which stays open for as long as the caller holds it. `not_found`,
  /// `corrupt` when the disk cannot read it, or `io`.
  Result<std::shared_ptr<const File>> get(const std::filesystem::path& path);

  /// Forgets `path`: its name now stands for another file or none.
  void drop(const std::filesystem::path& path);

 private:
  using Line = std::pair<std::string, std::shared_ptr<const File>>;

  std::shared_ptr<const File> recall(const std::string& name);

  const std::size_t files_max_;
  std::mutex mutex_;
  std::list<Line> lines_;  ///< last used first
  std::unordered_map<std::string, std::list<Line>::iterator> by_name_;
};

}  // namespace zerodb
