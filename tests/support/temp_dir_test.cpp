#include "tests/support/temp_dir.hpp"

#include <catch2/catch.hpp>
#include <fstream>

using zerodb::test::TempDir;
namespace fs = std::filesystem;

TEST_CASE("temp_dir: a folder of its own, gone afterwards with all it holds", "[support]") {
  fs::path path;
  {
    const TempDir dir;
    path = dir.path();
    CHECK(fs::is_empty(path));
    fs::create_directory(dir / "inner");
    std::ofstream{dir / "inner" / "file"} << "x";
    CHECK(TempDir{}.path() != path);
  }
  CHECK_FALSE(fs::exists(path));
}

TEST_CASE("temp_dir: moving hands the folder over", "[support]") {
  TempDir from;
  const auto path = from.path();
  const TempDir to{std::move(from)};
  CHECK(to.path() == path);
  CHECK(fs::exists(path));
}
