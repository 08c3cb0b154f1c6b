#include "tools/terminal.hpp"

#include <catch2/catch.hpp>

#include "tools/progress.hpp"

using namespace zerodb::tools;

TEST_CASE("terminal: bytes as people read them", "[tools]") {
  CHECK(format_bytes(0) == "0 B");
  CHECK(format_bytes(1023) == "1023 B");
  CHECK(format_bytes(1024) == "1.0 KiB");
  CHECK(format_bytes(1536) == "1.5 KiB");
  CHECK(format_bytes(20 << 10) == "20 KiB");
  CHECK(format_bytes((1 << 20) - 1) == "1.0 MiB");
  CHECK(format_bytes(5ULL << 30) == "5.0 GiB");
  CHECK(format_bytes(~0ULL) == "16 EiB");
}

TEST_CASE("terminal: spans of time as people read them", "[tools]") {
  CHECK(format_seconds(0) == "0 s");
  CHECK(format_seconds(59) == "59 s");
  CHECK(format_seconds(60) == "1 min");
  CHECK(format_seconds(125) == "2 min 5 s");
  CHECK(format_seconds(3 * 3600 + 600) == "3 h 10 min");
  CHECK(format_seconds(4 * 86400 + 7200) == "4 d 2 h");
}

TEST_CASE("terminal: durations as people write them", "[tools]") {
  using std::chrono::seconds;
  CHECK(parse_duration("30s") == seconds(30));
  CHECK(parse_duration("15m") == seconds(900));
  CHECK(parse_duration("1h") == seconds(3600));
  CHECK(parse_duration("7d") == seconds(604800));
  for (const auto* wrong : {"", "s", "0s", "-1s", "1", "1w", "1.5h", " 1h", "1h ", "367d",
                            "99999999999999999999s", "18446744073709551615d"}) {
    INFO(wrong);
    CHECK_FALSE(parse_duration(wrong));
  }
}

TEST_CASE("terminal: a time before 1970 is shown, too", "[tools]") {
  CHECK(format_time(0).substr(0, 2) != "");
  CHECK(format_time(-1).size() == 19);
  CHECK(whole_seconds(-1'000) == -1);
  CHECK(whole_seconds(-999) == -1);
  CHECK_FALSE(format_time(std::numeric_limits<std::int64_t>::min()).empty());
}

TEST_CASE("progress: bytes, rate, and what is left", "[tools]") {
  CHECK(progress_line(12 << 20, 1ULL << 30, 1) == "12 MiB of 1.0 GiB  12 MiB/s  1 min 24 s left");
  CHECK(progress_line(1024, {}, 2) == "1.0 KiB  512 B/s");
  CHECK(progress_line(0, 100, 0) == "0 B of 100 B");
  CHECK(progress_line(0, 100, 5) == "0 B of 100 B  0 B/s");
  CHECK(progress_line(100, 100, 1) == "100 B of 100 B  100 B/s");
}
