#include "node/roster_admin.hpp"

#include "bus/codec.hpp"
#include "store/recovery.hpp"
#include "tests/node/join_scene.hpp"

using namespace zerodb;
using namespace zerodb::test;
using Catch::Matchers::Contains;

TEST_CASE("membership: a change by an administrator reaches all at once", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  auto& third = scene.join_new("third");
  scene.ping_all();
  const auto changed = scene.set(scene.founder(), {.node = "second", .draining = true});
  REQUIRE(changed);
  CHECK(changed->changed);
  CHECK(changed->node_name == "second");
  CHECK(changed->roster_version == 4);
  CHECK_THAT(changed->note, Contains("2 copies"));
  scene.world.run_for(1s);  // no pings here: it was pushed
  for (const auto& peer : scene.peers) {
    CHECK(peer.mesh.roster().find(second.id())->draining);
    CHECK((*peer.disk.roster)->version == 4);
  }
  const auto again = scene.set(scene.founder(), {.node = "second", .draining = true});
  REQUIRE(again);
  CHECK_FALSE(again->changed);
  CHECK(scene.founder().version() == 4);
  REQUIRE(scene.set(scene.founder(), {.node = third.id().hex(), .zone = "attic", .weight = 50}));
  scene.world.run_for(1s);
  CHECK(second.mesh.roster().find(third.id())->zone == "attic");
  CHECK(second.mesh.roster().find(third.id())->weight == 50);
}

TEST_CASE("membership: a change that may not be, or cannot be kept, changes nothing", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  scene.ping_all();
  const auto code = [&](Peer& peer, client::NodeSet request) {
    const auto changed = scene.set(peer, std::move(request));
    return changed ? std::optional<Errc>() : changed.error().code;
  };
  CHECK(code(second, {.node = "founder", .weight = 5}) == Errc::denied);
  CHECK(code(scene.founder(), {.node = "nobody", .weight = 5}) == Errc::not_found);
  CHECK(code(scene.founder(), {.node = "second", .weight = 0}) == Errc::invalid);
  CHECK(code(scene.founder(), {.node = "second", .weight = 10'001}) == Errc::invalid);
  CHECK(code(scene.founder(), {.node = "second", .zone = "a b"}) == Errc::invalid);
  REQUIRE(scene.set(scene.founder(), {.node = "second", .draining = true}));
  CHECK(code(scene.founder(), {.node = "founder", .draining = true}) == Errc::invalid);
  scene.founder().disk.is_full = true;
  CHECK(code(scene.founder(), {.node = "second", .draining = false}) == Errc::full);
  CHECK(scene.founder().version() == 3);
  CHECK(scene.founder().mesh.roster().find(second.id())->draining);
}

TEST_CASE("membership: what two administrators change at once is in the one roster that stands",
          "[node]") {
  JoinScene scene;
  auto& second = scene.join_administrator("second");
  auto& third = scene.join_new("third");
  scene.ping_all();
  for (int round = 0; round < 20; ++round) {  // either of the two may win
    const auto weight = static_cast<std::uint32_t>(200 + round);
    scene.network.cut(scene.founder().id(), second.id());
    scene.network.cut(scene.founder().id(), third.id());
    scene.world.run_for(5s);
    REQUIRE(scene.set(scene.founder(), {.node = "third", .weight = weight}));
    REQUIRE(scene.set(second, {.node = "third", .zone = "zone" + std::to_string(round)}));
    if (round % 2 == 0) REQUIRE(scene.set(second, {.node = "founder", .weight = weight}));
    scene.network.heal(scene.founder().id(), second.id());
    scene.network.heal(scene.founder().id(), third.id());
    for (int ping = 0; ping < 4; ++ping)
      scene.ping_all();
    for (const auto& peer : scene.peers) {
      CHECK(peer.mesh.signed_roster().hash() == scene.founder().mesh.signed_roster().hash());
      CHECK((*peer.disk.roster).hash() == peer.mesh.signed_roster().hash());
      const auto* changed = peer.mesh.roster().find(third.id());
      REQUIRE(changed != nullptr);
      CHECK(changed->weight == weight);
      CHECK(changed->zone == "zone" + std::to_string(round));
    }
    scene.settle_all();
  }
}

TEST_CASE("membership: a change that was overtaken is not lost to a disk that is full then",
          "[node]") {
  JoinScene scene;
  auto& second = scene.join_administrator("second");
  scene.network.cut(scene.founder().id(), second.id());
  scene.world.run_for(5s);
  REQUIRE(scene.set(scene.founder(), {.node = "second", .zone = "attic"}));
  for (std::uint32_t weight = 1; weight <= 5; ++weight)  // these versions are later
    REQUIRE(scene.set(second, {.node = "second", .weight = weight}));
  scene.founder().disk.rosters_until_full = GENERATE(0U, 1U);
  scene.network.heal(scene.founder().id(), second.id());
  for (int ping = 0; ping < 4; ++ping)
    scene.ping_all();
  CHECK(scene.founder().mesh.roster().find(second.id())->zone == "attic");
  scene.founder().disk.rosters_until_full = SIZE_MAX;
  scene.founder().start(true);
  for (int ping = 0; ping < 4; ++ping)
    scene.ping_all();
  for (const auto& peer : scene.peers) {
    CHECK(peer.mesh.signed_roster().hash() == scene.founder().mesh.signed_roster().hash());
    CHECK(peer.mesh.roster().find(second.id())->zone == "attic");
    CHECK(peer.mesh.roster().find(second.id())->weight == 5);
  }
}

TEST_CASE("membership: a node that joined through the administrator who lost stays a member",
          "[node]") {
  JoinScene scene;
  auto& second = scene.join_administrator("second");
  scene.network.cut(scene.founder().id(), second.id());
  scene.world.run_for(5s);
  for (std::uint32_t weight = 1; weight <= 5; ++weight)  // these versions are later
    REQUIRE(scene.set(second, {.node = "second", .weight = weight}));
  auto& third = scene.join_new("third");
  scene.network.heal(scene.founder().id(), second.id());
  for (int ping = 0; ping < 4; ++ping)
    scene.ping_all();
  for (const auto& peer : scene.peers) {
    CHECK(peer.mesh.signed_roster().hash() == scene.founder().mesh.signed_roster().hash());
    CHECK(peer.mesh.roster().find(third.id()) != nullptr);
    CHECK(peer.mesh.roster().find(second.id())->weight == 5);
  }
}

TEST_CASE("membership: a removed node is told, and the others go on without it", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  auto& third = scene.join_new("third");
  for (int round = 0; round < 2; ++round)
    scene.ping_all();
  const auto refused = scene.remove(scene.founder(), {.node = "third"});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::denied);
  CHECK_THAT(refused.error().what, Contains("zdb node drain third") && Contains("--force"));
  CHECK(scene.founder().version() == 3);
  const auto removed = scene.remove(scene.founder(), {.node = "third", .force = true});
  REQUIRE(removed);
  CHECK_THAT(removed->note, Contains("not drained"));
  scene.world.run_for(1s);
  for (const auto& peer : scene.peers) {
    CHECK(peer.version() == 4);
    CHECK(peer.mesh.roster().find(third.id()) == nullptr);
  }
  CHECK_FALSE(scene.founder().membership->address_of(third.id()));
  CHECK(second.membership->members().size() == 1);
  CHECK_FALSE(scene.remove(scene.founder(), {.node = "third", .force = true}));
  CHECK(third.membership->invite({}, nullptr).error().code == Errc::denied);
}

TEST_CASE("membership: neither the last node nor the only administrator can be removed", "[node]") {
  JoinScene scene;
  const auto last = scene.remove(scene.founder(), {.node = "founder", .force = true});
  REQUIRE_FALSE(last);
  CHECK_THAT(last.error().what, Contains("last node"));
  auto& second = scene.join_new("second");
  scene.ping_all();
  const auto only = scene.remove(scene.founder(), {.node = "founder", .force = true});
  REQUIRE_FALSE(only);
  CHECK_THAT(only.error().what, Contains("zdb mesh export"));
  REQUIRE(second.membership->mesh_import(*scene.founder().membership->mesh_export()));
  scene.ping_all();  // it says so with its greetings
  CHECK(scene.founder().membership->administers(second.id()));
  REQUIRE(scene.remove(scene.founder(), {.node = "founder", .force = true}));
  scene.world.run_for(1s);
  CHECK(second.mesh.roster().members.size() == 1);
  CHECK(scene.founder().membership->mesh_export().error().code == Errc::denied);
}

TEST_CASE("membership: changes wait while as many rosters are in force as can be told of",
          "[node]") {
  JoinScene scene;
  const auto away = scene.join_new("away").id();
  const auto invite = scene.invite();
  // Nobody settles here, as the other member never answers.
  std::size_t made = 0;
  Result<client::NodeChanged> last;
  do {
    last = scene.set(scene.founder(), {.node = "founder", .zone = "zone" + std::to_string(made)});
    if (last) made += 1;
  } while (last && made < 2 * rosters_in_force_max);
  REQUIRE_FALSE(last);
  CHECK(last.error().code == Errc::busy);
  CHECK(scene.founder().mesh.older_rosters().size() == made + 1);
  CHECK(scene.founder().mesh.older_rosters().size() < rosters_in_force_max);
  // Who is told to wait has not used up the ticket: its next try is with other keys.
  for (int i = 0; i < 2; ++i) {
    const auto joined = scene.join(invite, JoinScene::request_of(NodeKeys::generate(), "new"));
    CHECK(joined.error().code == Errc::busy);
  }
  CHECK(scene.remove(scene.founder(), {.node = away.hex(), .force = true}));
}

TEST_CASE("membership: a node that says it holds the mesh key and is down does not stand in for it",
          "[node]") {
  JoinScene scene;
  auto& second = scene.join_administrator("second");
  scene.ping_all();
  REQUIRE(scene.founder().membership->administers(second.id()));
  scene.network.down(second.id());
  scene.world.run_for(10s);
  const auto refused = scene.remove(scene.founder(), {.node = "founder", .force = true});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::denied);
}

TEST_CASE("membership: however many members are removed at once, the others can be told",
          "[node]") {
  JoinScene scene;
  auto keys = NodeKeys::generate();
  Roster roster{.mesh = mesh_id(mesh_key()), .version = 1, .members = {}};
  for (std::size_t i = 1; i < members_max; ++i) {
    const auto member = NodeKeys::generate();
    roster.members.push_back({.node = member.curve.public_key,
                              .sign_key = member.sign.public_key(),
                              .name = "node" + std::to_string(i),
                              .zone = {}});
  }
  roster.members.push_back({.node = keys.curve.public_key,
                            .sign_key = keys.sign.public_key(),
                            .name = "administrator",
                            .zone = {}});
  auto& peer = scene.add(std::move(keys), SignedRoster::sign(roster, mesh_key()), true);
  for (int i = 1; i <= 12; ++i) {
    const auto removed = scene.remove(peer, {.node = "node" + std::to_string(i), .force = true});
    REQUIRE(removed);
  }
  const auto answer = scene.world.run(peer.membership->on_get_roster(scene.founder().id()));
  REQUIRE(answer);
  CHECK(codec::encode(1, answer->message).size() <= codec::header_bytes_max);
  const auto& told = std::get<peer::GetRoster::Reply>(answer->message);
  const auto verify = [](ByteView wire) {
    return SignedRoster::verify(wire, mesh_id(mesh_key())).value()->version;
  };
  CHECK(verify(told.roster) == 13);
  REQUIRE(told.older.size() > 2);
  CHECK(verify(told.older.front()) == 1);
  CHECK(verify(told.older.back()) == 12);
}

TEST_CASE("membership: the mesh key is taken in from its recovery text, and no other", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  auto& importing = *second.membership;
  CHECK(importing.mesh_export().error().code == Errc::denied);
  const auto text = *scene.founder().membership->mesh_export();
  CHECK(importing.mesh_import(text.substr(1)).error().code == Errc::invalid);
  const auto other = importing.mesh_import(recovery_text(seed_of(201), RecoveryKind::mesh));
  CHECK(other.error().code == Errc::invalid);
  CHECK_THAT(other.error().what, Contains("key of the mesh"));
  const auto owners = importing.mesh_import(recovery_text(seed_of(200)));
  CHECK_THAT(owners.error().what, Contains("owner's"));
  CHECK_FALSE(second.disk.mesh_seed);
  CHECK_FALSE(importing.holds_mesh_key());

  second.disk.is_full = true;
  CHECK(importing.mesh_import(text).error().code == Errc::full);
  CHECK_FALSE(importing.holds_mesh_key());
  second.disk.is_full = false;
  CHECK(importing.mesh_import(text) == mesh_id(mesh_key()).hex());
  CHECK(importing.holds_mesh_key());
  REQUIRE(second.disk.mesh_seed);
  CHECK(SigningKey(*second.disk.mesh_seed).public_key() == mesh_key().public_key());
  CHECK(importing.mesh_import(text));  // twice is harmless
  CHECK(importing.invite({}, nullptr));
}

TEST_CASE("membership: a pushed roster of another mesh, or of a forger, is refused", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  scene.ping_all();
  const auto push = [&](const Roster& roster, const SigningKey& key) {
    std::ignore = scene.world.run(scene.founder().membership->on_new_roster(
        second.id(), {.roster = SignedRoster::sign(roster, key).wire()}));
  };
  auto forged = scene.founder().mesh.roster();
  forged.version = 99;
  push(forged, mesh_key(201));
  forged.mesh = mesh_id(mesh_key(201));
  push(forged, mesh_key(201));
  auto old = scene.founder().mesh.roster();
  old.version = 1;
  push(old, mesh_key());
  CHECK(scene.founder().version() == 2);
}
