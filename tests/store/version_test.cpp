#include "store/version.hpp"

#include <algorithm>
#include <catch2/catch.hpp>

TEST_CASE("version: three numbers parted by dots", "[store]") {
  CHECK(std::ranges::count(zerodb::version(), '.') == 2);
  CHECK(zerodb::version().find_first_not_of("0123456789.") == std::string_view::npos);
}
