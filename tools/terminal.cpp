#include "tools/terminal.hpp"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <ctime>

namespace zerodb::tools {

namespace {

constexpr std::uint64_t minute_s = 60;
constexpr std::uint64_t hour_s = 60 * minute_s;
constexpr std::uint64_t day_s = 24 * hour_s;
constexpr std::uint64_t duration_max_s = 366 * day_s;

std::string two_units(std::uint64_t seconds, std::uint64_t unit, const char* name,
                      std::uint64_t lesser, const char* lesser_name) {
  const auto rest = seconds % unit / lesser;
  if (rest == 0) return fmt::format("{} {}", seconds / unit, name);
  return fmt::format("{} {} {} {}", seconds / unit, name, rest, lesser_name);
}

std::optional<std::uint64_t> seconds_in(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return minute_s;
    case 'h':
      return hour_s;
    case 'd':
      return day_s;
    default:
      return {};
  }
}

}  // namespace

bool is_terminal(int descriptor) {
  return ::isatty(descriptor) == 1;
}

std::size_t terminal_columns() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array units{"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  for (; value >= 1023.95 && unit + 1 < units.size(); ++unit)
    value /= 1024;
  return fmt::format("{:.{}f} {}", value, value < 9.95 ? 1 : 0, units[unit]);
}

std::string format_seconds(std::uint64_t seconds) {
  if (seconds >= day_s) return two_units(seconds, day_s, "d", hour_s, "h");
  if (seconds >= hour_s) return two_units(seconds, hour_s, "h", minute_s, "min");
  if (seconds >= minute_s) return two_units(seconds, minute_s, "min", 1, "s");
  return fmt::format("{} s", seconds);
}

std::string format_time(std::int64_t ms) {
  const std::time_t seconds = whole_seconds(ms);
  std::tm parts{};
  if (::localtime_r(&seconds, &parts) == nullptr) return fmt::format("{} ms", ms);
  std::array<char, 64> text{};
  const auto length = std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts);
  return {text.data(), length};
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc{} || stop != end) return {};
  return value;
}

std::optional<std::chrono::seconds> parse_duration(std::string_view text) {
  if (text.empty()) return {};
  const auto unit = seconds_in(text.back());
  const auto count = parse_number(text.substr(0, text.size() - 1));
  if (!unit || !count || *count == 0 || *count > duration_max_s / *unit) return {};
  return std::chrono::seconds(*count * *unit);
}

}  // namespace zerodb::tools
