#include "node/new_node.hpp"

#include <unistd.h>

#include <catch2/catch.hpp>

#include "node/config.hpp"
#include "node/data_folder.hpp"
#include "tests/node/rosters.hpp"
#include "tests/support/listening_socket.hpp"
#include "tests/support/temp_dir.hpp"

using namespace zerodb;
using namespace zerodb::test;
using Catch::Matchers::Contains;
namespace fs = std::filesystem;

namespace {

Ticket ticket_to(const std::string& endpoint) {
  return {.mesh = mesh_id(mesh_key()),
          .endpoint = endpoint,
          .server = CurvePair::generate().public_key,
          .invite = CurvePair::generate().secret,
          .expires_ms = ~0ULL >> 16,
          .owner = {}};
}

Passphrase passphrase(std::string_view text) {
  return std::move(*Passphrase::from(to_bytes(as_bytes(text))));
}

}  // namespace

TEST_CASE("new_node: a founding node is all there, and the same at each opening", "[node]") {
  const TempDir dir;
  const auto made =
      init_node({.data = dir / "data", .name = "first", .zone = "cellar", .listen = "127.0.0.1:0"});
  REQUIRE(made);
  CHECK(made->name == "first");
  CHECK(made->members == 1);
  const auto folder = DataFolder::open(dir / "data");
  REQUIRE(folder);
  const auto keys = NodeKeyFile::load(folder->node_key());
  REQUIRE(keys);
  CHECK(keys->curve.public_key == made->node);
  const auto roster = folder->load_roster();
  REQUIRE(roster);
  CHECK((*roster)->mesh == made->mesh);
  CHECK((*roster)->version == 1);
  const auto* member = (*roster)->find(made->node);
  REQUIRE(member != nullptr);
  CHECK(member->sign_key == keys->sign.public_key());
  CHECK(member->zone == "cellar");
  CHECK_FALSE(member->blind);
  CHECK(folder->load_settled_roster(made->mesh));
  const auto mesh = SeedFile::load(folder->mesh_key(), std::nullopt);
  REQUIRE(mesh);
  CHECK(mesh_id(SigningKey(*mesh)) == made->mesh);
  const auto owner = SeedFile::load(folder->owner_key(), std::nullopt);
  REQUIRE(owner);
  CHECK(OwnerKeys(*owner).id() == made->owner);
  CHECK(load_config(folder->config())->listen == "127.0.0.1:0");
  for (const auto& entry : fs::directory_iterator(dir / "data")) {
    CAPTURE(entry.path());
    CHECK((entry.status().permissions() & (fs::perms::group_all | fs::perms::others_all)) ==
          fs::perms::none);
  }
}

TEST_CASE("new_node: a blind one has no owner's key", "[node]") {
  const TempDir dir;
  const auto made = init_node({.data = dir / "data", .blind = true});
  REQUIRE(made);
  CHECK_FALSE(made->owner);
  CHECK_FALSE(fs::exists(dir / "data" / "owner.key"));
  CHECK(DataFolder::open(dir / "data")->load_roster()->roster().members[0].blind);
  CHECK(made->name == default_node_name());
}

TEST_CASE("new_node: a passphrase locks the owner's key", "[node]") {
  const TempDir dir;
  REQUIRE(init_node({.data = dir / "data", .passphrase = passphrase("correct horse")}));
  const auto path = dir / "data" / "owner.key";
  CHECK(*SeedFile::is_locked(path));
  CHECK(SeedFile::load(path, "correct horse"));
  CHECK(SeedFile::load(path, "wrong horse").error().code == Errc::denied);
}

TEST_CASE("new_node: options that cannot be are named, and nothing is made", "[node]") {
  const TempDir dir;
  const auto problem_of = [&](NewNodeOptions options) {
    options.data = dir / "data";
    const auto made = init_node(options);
    REQUIRE_FALSE(made);
    CHECK(fs::is_empty(dir.path()));
    return made.error().what;
  };
  CHECK_THAT(problem_of({.name = "a b"}), Contains("node name 'a b'"));
  CHECK_THAT(problem_of({.name = std::string(65, 'n')}), Contains("1 to 64"));
  CHECK_THAT(problem_of({.zone = "a/b"}), Contains("zone"));
  CHECK_THAT(problem_of({.listen = "nowhere"}), Contains("HOST:PORT"));
  CHECK_THAT(problem_of({.listen = "0.0.0.0:7710"}), Contains("advertise"));
  CHECK_THAT(problem_of({.listen = "0.0.0.0:7710", .advertise = "*"}), Contains("dial"));
  CHECK_THAT(problem_of({.listen = "127.0.0.1:0\"\nx = 1"}), Contains("listen"));
}

TEST_CASE("new_node: an existing folder is left as it was", "[node]") {
  const TempDir dir;
  const auto first = init_node({.data = dir / "data"});
  REQUIRE(first);
  const auto again = init_node({.data = dir / "data"});
  REQUIRE_FALSE(again);
  CHECK(NodeKeyFile::load(dir / "data" / "node.key")->curve.public_key == first->node);
}

TEST_CASE("new_node: joining with an expired ticket makes nothing", "[node]") {
  const TempDir dir;
  auto ticket = ticket_to("tcp://127.0.0.1:1");
  ticket.expires_ms = 1'000;
  const auto made = join_node({.data = dir / "data"}, ticket);
  REQUIRE_FALSE(made);
  CHECK(made.error().code == Errc::denied);
  CHECK_THAT(made.error().what, Contains("expired at 1970"));
  CHECK(fs::is_empty(dir.path()));
}

TEST_CASE("new_node: the machine's name becomes a name that a node may have", "[node]") {
  CHECK(check_node_name(default_node_name()));
}

TEST_CASE("passphrase: the first line of a descriptor, and no more", "[node]") {
  const auto read = [](std::string_view text) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe(ends.data()) == 0);
    CHECK(::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
    ::close(ends[1]);
    auto passphrase = read_passphrase(ends[0]);
    ::close(ends[0]);
    return passphrase ? std::string(passphrase->view()) : "error: " + passphrase.error().what;
  };
  CHECK(read("secret\n") == "secret");
  CHECK(read("secret") == "secret");
  CHECK(read("two words\nmore\n") == "two words");
  CHECK(read(std::string(1024, 'x') + "\n") == std::string(1024, 'x'));
  CHECK_THAT(read(std::string(1025, 'x') + "\n"), Contains("longer than 1024"));
  CHECK_THAT(read(""), Contains("empty"));
  CHECK_THAT(read("\n"), Contains("empty"));
  const auto closed = read_passphrase(987);
  REQUIRE_FALSE(closed);
  CHECK_THAT(closed.error().what, Contains("987"));
}
