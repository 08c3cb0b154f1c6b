#pragma once
// Tickets and links: one line of text each, which people copy, and mail programs break.
// Thread-safe: pure functions.

#include <algorithm>
#include <iterator>
#include <string>
#include <string_view>

namespace zerodb {

inline std::string without_spaces(std::string_view text) {
  std::string kept;
  std::ranges::copy_if(text, std::back_inserter(kept),
                       [](char c) { return c != ' ' && c != '\n' && c != '\r' && c != '\t'; });
  return kept;
}

}  // namespace zerodb
