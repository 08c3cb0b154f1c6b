#pragma once
// Comparing bytes that come as views.

#include <algorithm>

#include "store/bytes.hpp"

namespace zerodb::test {

inline bool same(ByteView a, ByteView b) {
  return std::ranges::equal(a, b);
}

}  // namespace zerodb::test
