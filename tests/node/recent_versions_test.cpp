#include "node/recent_versions.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;

TEST_CASE("recent versions: the oldest is forgotten, whatever is added twice", "[node]") {
  RecentVersions recent(2);
  const Bytes a{1}, b{2}, c{3};
  recent.add(a);
  recent.add(b);
  recent.add(b);
  CHECK(recent.contains(a));
  CHECK(recent.contains(b));
  CHECK_FALSE(recent.contains(c));
  recent.add(c);
  CHECK_FALSE(recent.contains(a));
  CHECK(recent.contains(b));
  CHECK(recent.contains(c));
}
