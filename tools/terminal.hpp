#pragma once
// Quantities as people write and read them, and what the terminal is. Thread-safe: pure functions
// and questions to the system.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace zerodb::tools {

bool is_terminal(int descriptor);

/// Columns of the terminal on stderr; 80 when there is none.
std::size_t terminal_columns();

/// "0 B", "999 B", "1.5 KiB", "20 GiB".
std::string format_bytes(std::uint64_t bytes);

/// "7 s", "2 min 5 s", "3 h 10 min", "4 d 2 h".
std::string format_seconds(std::uint64_t seconds);

/// Rounded down, before 1970 too.
constexpr std::int64_t whole_seconds(std::int64_t ms) {
  return ms / 1000 - (ms % 1000 < 0 ? 1 : 0);
}

/// "2026-11-23 10:20:30" in the local time zone; `ms` since 1970, UTC.
std::string format_time(std::int64_t ms);

/// "30s", "15m", "1h", "7d"; nothing if it is none of these, is zero or is longer than a year.
std::optional<std::chrono::seconds> parse_duration(std::string_view text);

/// A whole decimal number and nothing else.
std::optional<std::uint64_t> parse_number(std::string_view text);

}  // namespace zerodb::tools
