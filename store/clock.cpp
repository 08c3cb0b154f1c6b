#include "store/clock.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>

namespace zerodb {

std::string to_string(Version version) {
  using namespace std::chrono;
  const sys_time<milliseconds> moment{milliseconds{version.ms()}};
  const auto day = floor<days>(moment);
  const year_month_day date{day};
  const hh_mm_ss time{moment - day};
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%03dZ", int{date.year()},
                unsigned{date.month()}, unsigned{date.day()},
                static_cast<int>(time.hours().count()), static_cast<int>(time.minutes().count()),
                static_cast<int>(time.seconds().count()),
                static_cast<int>(time.subseconds().count()));
  return text;
}

Version HybridClock::next(std::uint64_t now_ms) {
  // A full counter carries into the milliseconds: still later than all before.
  last_ = std::max(Version::at(now_ms), Version{last_.value + 1});
  return last_;
}

void HybridClock::observe(Version seen) {
  last_ = std::max(last_, seen);
}

Status check_not_future(Version version, std::uint64_t now_ms) {
  if (version.ms() <= now_ms + std::uint64_t{version_future_max_ms}) return {};
  return fail(Errc::invalid, "version " + to_string(version) + " is " +
                                 std::to_string((version.ms() - now_ms) / 1000) +
                                 " s ahead of this node's clock (" +
                                 to_string(Version::at(now_ms)) +
                                 "): set the clocks of both machines");
}

}  // namespace zerodb
