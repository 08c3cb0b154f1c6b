#pragma once
// Which zerodb may open a store: the small file `format` in its folder. Blocking.

#include <filesystem>

#include "store/result.hpp"

namespace zerodb {

inline constexpr unsigned store_format = 1;

/// Writes the file, durably, in a folder with no index yet. `invalid` when a newer zerodb wrote the
/// store, `corrupt` when the file is damaged, or missing beside an index.
Status check_store_format(const std::filesystem::path& folder);

}  // namespace zerodb
