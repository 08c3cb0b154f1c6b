#pragma once
// The line on a terminal that says how a transfer goes: bytes, rate, and how long it will take.
// It shows after the first second and is gone at the end. Thread-safe.

#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

namespace zerodb::tools {

class Progress {
 public:
  /// Shows nothing, ever, unless `visible`. `total` in bytes, when it is known.
  Progress(bool visible, std::optional<std::uint64_t> total);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void add(std::uint64_t bytes);

  /// Takes the line away, so that something else can be written; the next add() brings it back.
  void hide();

  std::uint64_t bytes() const;
  double seconds() const;

 private:
  using Clock = std::chrono::steady_clock;
  void show(Clock::time_point now);

  const bool visible_;
  const std::optional<std::uint64_t> total_;
  const Clock::time_point started_;
  mutable std::mutex mutex_;
  std::uint64_t bytes_ = 0;
  Clock::time_point next_;
  bool shown_ = false;
};

/// "12 MiB of 1.0 GiB  95 MiB/s  11 s left"
std::string progress_line(std::uint64_t bytes, std::optional<std::uint64_t> total, double seconds);

}  // namespace zerodb::tools
