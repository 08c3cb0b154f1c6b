#pragma once
// A temporary folder of a test's own. Any thread.

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>

namespace zerodb::test {

/// Makes an empty folder under $TMPDIR (or /tmp); removes it and all it holds at the end of its
/// life. Its path is short enough for a Unix socket inside it, as long as $TMPDIR is.
class TempDir {
 public:
  TempDir() : path_{make()} {}
  ~TempDir() { remove(); }

  TempDir(TempDir&& other) noexcept : path_{std::exchange(other.path_, {})} {}
  TempDir& operator=(TempDir&& other) noexcept {
    if (this != &other) {
      remove();
      path_ = std::exchange(other.path_, {});
    }
    return *this;
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;

  [[nodiscard]] const std::filesystem::path& path() const { return path_; }
  [[nodiscard]] std::filesystem::path operator/(const std::filesystem::path& name) const {
    return path_ / name;
  }

 private:
  static std::filesystem::path make() {
    const char* root = std::getenv("TMPDIR");
    auto name = std::string{root != nullptr && *root != '\0' ? root : "/tmp"} + "/zerodb-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) {
      throw std::runtime_error{"cannot make a temporary folder like " + name};
    }
    return name;
  }

  void remove() noexcept {
    if (path_.empty()) return;
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }

  std::filesystem::path path_;
};

}  // namespace zerodb::test
