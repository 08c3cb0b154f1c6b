#pragma once
// Sizes that tests speak of.

#include <cstdint>

inline constexpr std::uint64_t mib = 1 << 20;
