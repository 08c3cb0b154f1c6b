#include "tools/progress.hpp"

#include <cstdio>

#include "tools/terminal.hpp"

namespace zerodb::tools {

namespace {

constexpr std::chrono::milliseconds quiet_at_first{1000};
constexpr std::chrono::milliseconds between_lines{200};
constexpr const char* clear_line = "\r\033[K";

}  // namespace

std::string progress_line(std::uint64_t bytes, std::optional<std::uint64_t> total, double seconds) {
  auto line = format_bytes(bytes);
  if (total) line += " of " + format_bytes(*total);
  if (seconds <= 0) return line;
  const auto rate = static_cast<double>(bytes) / seconds;
  line += "  " + format_bytes(static_cast<std::uint64_t>(rate)) + "/s";
  if (total && *total > bytes && rate >= 1) {
    const auto left = static_cast<double>(*total - bytes) / rate;
    line += "  " + format_seconds(static_cast<std::uint64_t>(left + 0.5)) + " left";
  }
  return line;
}

Progress::Progress(bool visible, std::optional<std::uint64_t> total)
    : visible_(visible), total_(total), started_(Clock::now()), next_(started_ + quiet_at_first) {}

Progress::~Progress() {
  hide();
}

void Progress::add(std::uint64_t bytes) {
  const std::lock_guard lock(mutex_);
  bytes_ += bytes;
  if (!visible_) return;
  const auto now = Clock::now();
  if (now >= next_) show(now);
}

void Progress::show(Clock::time_point now) {
  next_ = now + between_lines;
  shown_ = true;
  const auto seconds = std::chrono::duration<double>(now - started_).count();
  const auto line = progress_line(bytes_, total_, seconds).substr(0, terminal_columns() - 1);
  std::fprintf(stderr, "%s%s", clear_line, line.c_str());
  std::fflush(stderr);
}

void Progress::hide() {
  const std::lock_guard lock(mutex_);
  if (!shown_) return;
  shown_ = false;
  std::fputs(clear_line, stderr);
  std::fflush(stderr);
}

std::uint64_t Progress::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

double Progress::seconds() const {
  return std::chrono::duration<double>(Clock::now() - started_).count();
}

}  // namespace zerodb::tools
