#include "tools/zdb_names.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;
using namespace zerodb::tools;
using namespace std::string_literals;

TEST_CASE("zdb names: a key's place under a folder", "[tools]") {
  CHECK(path_under("f", "p/", "p/a").value() == "f/a");
  CHECK(path_under("f", "p/", "p/a/b c").value() == "f/a/b c");
  CHECK(path_under("f", "", "a").value() == "f/a");
  CHECK(path_under("f", "p/", "p/...").value() == "f/...");
  CHECK(path_under("f", "p/", "p/..a").value() == "f/..a");
}

TEST_CASE("zdb names: a key never leads out of its folder", "[tools]") {
  for (const auto& rest : {"", "..", ".", "../x", "a/../../x", "/x", "a//b", "a/", "a/.", "./a"}) {
    INFO(rest);
    CHECK_FALSE(path_under("f", "p/", "p/"s + rest));
  }
  CHECK_FALSE(path_under("f", "", "/etc/passwd"));
  CHECK_FALSE(path_under("f", "", "a\0b"s));
  CHECK_FALSE(path_under("f", "", std::string(256, 'a')));
}

TEST_CASE("zdb names: what put stores, and as what", "[tools]") {
  const auto one = put_items({"dir/a.txt"});
  REQUIRE(one);
  CHECK(one->at(0).key == "a.txt");
  const auto keyed = put_items({"dir/a.txt", "k"});
  REQUIRE(keyed);
  CHECK(keyed->at(0).key == "k");
  const auto prefixed = put_items({"dir/a", "b", "p/"});
  REQUIRE(prefixed);
  REQUIRE(prefixed->size() == 2);
  CHECK(prefixed->at(0).key == "p/a");
  CHECK(prefixed->at(1).key == "p/b");
  CHECK(put_items({"-", "k"})->at(0).path == "-");
  CHECK_FALSE(put_items({"-"}));
  CHECK_FALSE(put_items({"-", "p/"}));
  CHECK_FALSE(put_items({"a", "b", "c"}));
}

TEST_CASE("zdb names: two files are never stored as one object", "[tools]") {
  const auto both = put_items({"a/x", "b/y", "b/x", "p/"});
  REQUIRE_FALSE(both);
  CHECK(both.error().code == Errc::invalid);
  CHECK_THAT(both.error().what, Catch::Contains("a/x and b/x: would both be p/x"));
  CHECK_FALSE(put_items({"x", "x", ""}));
  CHECK(put_items({"a/x", "a/y", "p/"}));
}

TEST_CASE("zdb names: a folder's own name is its default prefix", "[tools]") {
  CHECK(default_prefix("tests/tools") == "tools/");
  CHECK(default_prefix("tests/tools/") == "tools/");
  CHECK(default_prefix("tests/tools/..") == "tests/");
  CHECK(default_prefix("/") == "");
}
