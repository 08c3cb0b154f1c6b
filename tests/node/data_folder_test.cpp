#include "node/data_folder.hpp"

#include <catch2/catch.hpp>
#include <fstream>

#include "node/logging.hpp"
#include "tests/node/rosters.hpp"
#include "tests/support/temp_dir.hpp"

using namespace zerodb;
using namespace zerodb::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

const bool quiet = set_up_logging({.level = "off"}).has_value();

void make(const fs::path& path) {
  auto made = NewDataFolder::begin(path);
  REQUIRE(made);
  REQUIRE(made->finish());
}

Error problem_of(const fs::path& path) {
  const auto folder = DataFolder::open(path);
  REQUIRE_FALSE(folder);
  CHECK_THAT(folder.error().what, Contains(path.string()));
  return folder.error();
}

Error new_problem_of(const fs::path& path) {
  const auto made = NewDataFolder::begin(path);
  REQUIRE_FALSE(made);
  CHECK_THAT(made.error().what, Contains(path.string()));
  return made.error();
}

}  // namespace

TEST_CASE("data_folder: made, opened, closed, and opened again", "[node]") {
  const TempDir dir;
  make(dir / "deep" / "data");
  CHECK(fs::status(dir / "deep" / "data").permissions() == fs::perms::owner_all);
  for (int i = 0; i < 2; ++i) {
    const auto folder = DataFolder::open(dir / "deep" / "data");
    REQUIRE(folder);
    CHECK(folder->path() == dir / "deep" / "data");
  }
  CHECK(DataFolder::open((dir / "deep" / "data").string() + "/"));
  CHECK(DataFolder::open(fs::relative(dir / "deep" / "data")));
}

TEST_CASE("data_folder: one that was not finished leaves nothing behind", "[node]") {
  const TempDir dir;
  {
    auto made = NewDataFolder::begin(dir / "a" / "b" / "c");
    REQUIRE(made);
    std::ofstream(made->folder().config()) << "x";
    fs::create_directories(made->folder().store() / "deep");
    auto moved = std::move(*made);
    CHECK(fs::exists(moved.folder().config()));
  }
  CHECK(fs::is_empty(dir.path()));

  fs::create_directory(dir / "empty");
  {
    auto made = NewDataFolder::begin(dir / "empty");
    REQUIRE(made);
    std::ofstream(made->folder().config()) << "x";
  }
  CHECK(fs::is_empty(dir / "empty"));

  fs::create_directories(dir / "disk" / "lost+found");  // as it is born
  CHECK(NewDataFolder::begin(dir / "disk"));
  CHECK(fs::exists(dir / "disk" / "lost+found"));
}

TEST_CASE("data_folder: what is not one is named, with what to do", "[node]") {
  const TempDir dir;
  CHECK(problem_of(dir / "missing").code == Errc::invalid);
  CHECK_THAT(problem_of(dir / "missing").what, Contains("init"));
  CHECK_FALSE(fs::exists(dir / "missing"));
  std::ofstream(dir / "file") << "x";
  CHECK_THAT(problem_of(dir / "file").what, Contains("not a folder"));
  CHECK_THAT(new_problem_of(dir / "file").what, Contains("not a folder"));
  fs::create_directory(dir / "other");
  std::ofstream(dir / "other" / "thesis") << "mine";
  CHECK_THAT(problem_of(dir / "other").what, Contains("not a zerodb data folder"));
  CHECK_THAT(new_problem_of(dir / "other").what, Contains("not empty"));
  CHECK(fs::exists(dir / "other" / "thesis"));
  CHECK_FALSE(fs::exists(dir / "other" / "LOCK"));
}

TEST_CASE("data_folder: made twice is refused and changes nothing", "[node]") {
  const TempDir dir;
  make(dir / "data");
  std::ofstream(dir / "data" / "config.toml") << "x";
  CHECK_THAT(new_problem_of(dir / "data").what, Contains("already"));
  CHECK(fs::exists(dir / "data" / "config.toml"));
  CHECK(DataFolder::open(dir / "data"));
}

TEST_CASE("data_folder: a newer or unreadable format is refused", "[node]") {
  const TempDir dir;
  make(dir / "data");
  const auto write = [&](std::string_view text) {
    REQUIRE(write_secret_file(dir / "data" / "format", as_bytes(text), {.replace = true}));
  };
  write("zerodb 2\n");
  CHECK(problem_of(dir / "data").code == Errc::invalid);
  CHECK_THAT(problem_of(dir / "data").what, Contains("newer"));
  for (const auto* text : {"", "zerodb 1", "zerodb 0\n", "zerodb x\n", "zerodb 1x\n", "zerodb \n",
                           "zerodb 99999999999999999999\n"}) {
    write(text);
    CHECK(problem_of(dir / "data").code == Errc::corrupt);
  }
  write("zerodb 1\n");
  CHECK(DataFolder::open(dir / "data"));
}

TEST_CASE("data_folder: two cannot have it open", "[node]") {
  const TempDir dir;
  make(dir / "data");
  {
    const auto first = DataFolder::open(dir / "data");
    REQUIRE(first);
    const auto problem = problem_of(dir / "data");
    CHECK(problem.code == Errc::busy);
    CHECK_THAT(problem.what, Contains("in use"));
    CHECK_THAT(problem.what, Contains("process " + std::to_string(::getpid())));
  }
  CHECK(DataFolder::open(dir / "data"));
}

TEST_CASE("data_folder: one that others may enter is refused", "[node]") {
  const TempDir dir;
  make(dir / "data");
  fs::permissions(dir / "data", fs::perms::others_exec, fs::perm_options::add);
  CHECK(problem_of(dir / "data").code == Errc::denied);
  CHECK_THAT(problem_of(dir / "data").what, Contains("chmod 700"));
}

TEST_CASE("data_folder: a path too long for a socket is refused before anything is made",
          "[node]") {
  const TempDir dir;
  const auto longest = std::string(107 - dir.path().string().size() - 13, 'n');
  make(dir / longest);
  CHECK(DataFolder::open(dir / longest));
  const auto problem = new_problem_of(dir / (longest + "n"));
  CHECK(problem.code == Errc::invalid);
  CHECK_THAT(problem.what, Contains("107"));
  CHECK_FALSE(fs::exists(dir / (longest + "n")));
}

TEST_CASE("data_folder: when it cannot be finished, nothing is left", "[node]") {
  const TempDir dir;
  fs::create_directory(dir / "locked");
  // A folder in the way of the last file: tests/cli fills a disk for good.
  auto begun = NewDataFolder::begin(dir / "locked" / "data");
  REQUIRE(begun);
  fs::create_directory(begun->folder().path() / "format");
  CHECK_FALSE(begun->finish());
  { const auto dropped = std::move(*begun); }
  CHECK(fs::is_empty(dir / "locked"));
}

TEST_CASE("data_folder: rosters, records and invites are kept", "[node]") {
  const TempDir dir;
  make(dir / "data");
  const auto folder = DataFolder::open(dir / "data");
  REQUIRE(folder);
  CHECK(folder->load_roster().error().code == Errc::not_found);
  CHECK_FALSE(folder->load_settled_roster(mesh_id(mesh_key())));
  CHECK(folder->load_records().value().empty());
  CHECK(folder->load_invites().value().empty());
  for (std::uint64_t version = 1; version <= 2; ++version) {
    const auto roster = SignedRoster::sign(roster_of(2, version), mesh_key());
    REQUIRE(folder->save_roster(roster));
    REQUIRE(folder->save_settled_roster(roster));
    CHECK((*folder->load_roster())->version == version);
    CHECK((*folder->load_settled_roster(mesh_id(mesh_key())))->version == version);
  }
  CHECK_FALSE(folder->load_settled_roster(mesh_id(mesh_key(201))));
  const std::vector<Bytes> records(members_max, Bytes(400, 7));
  REQUIRE(folder->save_records(records));
  CHECK(folder->load_records().value() == records);
  REQUIRE(folder->save_invites(Bytes(9, 9)));
  CHECK(folder->load_invites().value() == Bytes(9, 9));
}

TEST_CASE("data_folder: damaged rosters are damage; damaged records are only left out", "[node]") {
  const TempDir dir;
  make(dir / "data");
  const auto folder = DataFolder::open(dir / "data");
  REQUIRE(folder);
  auto bytes = SignedRoster::sign(roster_of(2, 1), mesh_key()).wire();
  bytes[bytes.size() / 2] ^= 1;
  fs::create_directory(folder->store());
  for (const auto* name : {"roster", "store/settled.roster", "older.rosters", "records"}) {
    REQUIRE(write_secret_file(dir / "data" / name, bytes));
  }
  const auto roster = folder->load_roster();
  REQUIRE_FALSE(roster);
  CHECK(roster.error().code == Errc::corrupt);
  CHECK_THAT(roster.error().what, Contains((dir / "data" / "roster").string()));
  CHECK_FALSE(folder->load_settled_roster(MeshId{}));
  const auto older = folder->load_older_rosters(MeshId{});
  REQUIRE_FALSE(older);
  CHECK(older.error().code == Errc::corrupt);
  CHECK(folder->load_records().value().empty());
}

TEST_CASE("data_folder: what cannot be read is not taken for missing", "[node]") {
  const TempDir dir;
  make(dir / "data");
  const auto folder = DataFolder::open(dir / "data");
  REQUIRE(folder);
  REQUIRE(folder->save_older_rosters({SignedRoster::sign(roster_of(2, 1), mesh_key())}, 7));
  REQUIRE(folder->save_records({Bytes(4)}));
  REQUIRE(folder->save_invites(Bytes(9)));
  REQUIRE(folder->save_clients(Bytes(9)));
  for (const auto* name : {"older.rosters", "records", "invites", "clients"})
    fs::permissions(dir / "data" / name, fs::perms::others_read, fs::perm_options::add);
  CHECK(folder->load_older_rosters(mesh_id(mesh_key())).error().code == Errc::denied);
  CHECK(folder->load_records().error().code == Errc::denied);
  CHECK(folder->load_invites().error().code == Errc::denied);
  CHECK(folder->load_clients().error().code == Errc::denied);
}

TEST_CASE("data_folder: rosters in force are kept; the settled one is lost with the store",
          "[node]") {
  const TempDir dir;
  make(dir / "data");
  const auto folder = DataFolder::open(dir / "data");
  REQUIRE(folder);
  const auto mesh = mesh_id(mesh_key());
  CHECK(folder->load_older_rosters(mesh)->rosters.empty());
  const std::vector rosters{SignedRoster::sign(roster_of(2, 1), mesh_key()),
                            SignedRoster::sign(roster_of(3, 2), mesh_key())};
  CHECK(folder->load_older_rosters(mesh)->over_before == 0);
  REQUIRE(folder->save_older_rosters(rosters, 7));
  REQUIRE(folder->save_settled_roster(rosters[0]));
  const auto loaded = folder->load_older_rosters(mesh).value();
  CHECK(loaded.over_before == 7);
  REQUIRE(loaded.rosters.size() == 2);
  CHECK(loaded.rosters[1].hash() == rosters[1].hash());
  const auto of_another_mesh = folder->load_older_rosters(mesh_id(mesh_key(201)));
  REQUIRE_FALSE(of_another_mesh);
  CHECK(of_another_mesh.error().code == Errc::corrupt);
  fs::remove_all(folder->store());
  CHECK_FALSE(folder->load_settled_roster(mesh));
  CHECK(folder->load_older_rosters(mesh)->rosters.size() == 2);
}
