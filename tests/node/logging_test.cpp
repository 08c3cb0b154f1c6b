#include "node/logging.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;

TEST_CASE("logging: a message cannot break out of its JSON line", "[node]") {
  CHECK(json_escaped("plain \xc3\xa9") == "plain \xc3\xa9");
  CHECK(json_escaped("a\"b\\c\nd\x01") == "a\\\"b\\\\c\\u000ad\\u0001");
}

TEST_CASE("logging: levels that do not exist are refused by name", "[node]") {
  for (const auto* level : {"trace", "debug", "info", "warn", "error", "off"}) {
    CHECK(check_log_level(level));
  }
  const auto loud = check_log_level("loud");
  REQUIRE_FALSE(loud);
  CHECK(loud.error().what.find("'loud'") != std::string::npos);
}
