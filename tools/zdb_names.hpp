#pragma once
// From paths to keys and back. Keys are names and never paths: what a key would do as a path is
// looked at here, before anything is written. Thread-safe: pure functions.

#include <filesystem>
#include <string>
#include <vector>

#include "store/result.hpp"

namespace zerodb::tools {

/// The last component of a path or key: "c" of "a/b/c"; empty for "a/b/".
std::string last_component(std::string_view name);

/// Where the object `key` belongs in `folder` when all under `prefix` is fetched into it. `invalid`
/// for keys that would leave the folder or cannot be a path: "..", ".", empty components, NUL.
Result<std::filesystem::path> path_under(const std::filesystem::path& folder,
                                         std::string_view prefix, std::string_view key);

/// One file and the key it is stored under; path "-" is stdin.
struct PutItem {
  std::filesystem::path path;
  std::string key;
};

/// What `zdb put NAMES...` means, without -r. `invalid` when it means nothing, or two files would
/// be one object.
Result<std::vector<PutItem>> put_items(const std::vector<std::string>& names);

/// The prefix under which `zdb put -r FOLDER` stores: the folder's own name and "/".
std::string default_prefix(const std::filesystem::path& folder);

}  // namespace zerodb::tools
