#include "store/clock.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;

TEST_CASE("clock: versions only grow, even if the wall clock steps back", "[store]") {
  HybridClock clock;
  const auto first = clock.next(1000);
  CHECK(first == Version::at(1000));
  CHECK(clock.next(1000) == Version::at(1000, 1));
  CHECK(clock.next(10) == Version::at(1000, 2));
  CHECK(clock.next(1001) == Version::at(1001));
}

TEST_CASE("clock: a version seen elsewhere is exceeded", "[store]") {
  HybridClock clock;
  clock.observe(Version::at(5000, 7));
  CHECK(clock.next(1000) == Version::at(5000, 8));
  clock.observe(Version::at(10));
  CHECK(clock.next(1000) == Version::at(5000, 9));
}

TEST_CASE("clock: a full counter carries into the milliseconds", "[store]") {
  HybridClock clock;
  clock.observe(Version::at(5000, 0xFFFF));
  CHECK(clock.next(1000) == Version::at(5001, 0));
}

TEST_CASE("clock: up to a minute ahead is believed, more is refused", "[store]") {
  constexpr std::uint64_t now = 1'763'893'230'123;
  CHECK(check_not_future(Version::at(now + 60'000, 0xFFFF), now));
  CHECK(check_not_future(Version::at(1), now));
  const auto refused = check_not_future(Version::at(now + 3'600'000), now);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::invalid);
  CHECK(refused.error().what.find("3600 s ahead") != std::string::npos);
  CHECK_FALSE(check_not_future(Version::at(now + 60'001), now));
  CHECK_FALSE(check_not_future(Version{~0ULL}, now));
}

TEST_CASE("clock: a version reads as a time", "[store]") {
  CHECK(to_string(Version{}) == "1970-01-01T00:00:00.000Z");
  CHECK(to_string(Version::at(1'795'429'230'123, 9)) == "2026-11-23T10:20:30.123Z");
  CHECK(to_string(Version{~0ULL}) == "10889-08-02T05:31:50.655Z");
}
