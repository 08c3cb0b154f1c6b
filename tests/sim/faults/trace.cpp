#include "tests/sim/faults/trace.hpp"

#include <fmt/format.h>

namespace zerodb::sim {

namespace {

constexpr std::size_t lines_kept = 60;
constexpr std::uint64_t fnv_prime = 0x100000001b3;

}  // namespace

void Trace::mix(std::string_view bytes) {
  for (const char c : bytes)
    hash_ = (hash_ ^ static_cast<std::uint8_t>(c)) * fnv_prime;
}

void Trace::mix(std::uint64_t number) {
  for (int i = 0; i < 8; ++i, number >>= 8)
    hash_ = (hash_ ^ (number & 0xff)) * fnv_prime;
}

void Trace::keep(std::string line) {
  if (echo_) std::puts(line.c_str());
  lines_.push_back(std::move(line));
  if (lines_.size() > lines_kept) lines_.pop_front();
}

void Trace::say(const std::string& line) {
  note(line, 0);
  const auto ms = world_.now_ms();
  keep(fmt::format("{:3}:{:02}:{:02}.{:03}  {}", ms / 3'600'000, ms / 60'000 % 60, ms / 1'000 % 60,
                   ms % 1'000, line));
}

void Trace::note(std::string_view what, std::uint64_t detail) {
  mix(world_.now_us());
  mix(what);
  mix(detail);
}

void Trace::comment(const std::string& line) {
  keep(fmt::format("{:15}{}", "", line));
}

}  // namespace zerodb::sim
