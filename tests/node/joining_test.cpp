#include "tests/node/join_scene.hpp"

using namespace zerodb;
using namespace zerodb::test;
using Catch::Matchers::Contains;

TEST_CASE("membership: a node joins by a ticket and takes effect on the inviter at once",
          "[node]") {
  JoinScene scene;
  const auto keys = NodeKeys::generate();
  const auto roster = scene.join(scene.invite(), JoinScene::request_of(keys, "second"));
  REQUIRE(roster);
  CHECK((*roster)->version == 2);
  const auto* member = (*roster)->find(keys.curve.public_key);
  REQUIRE(member != nullptr);
  CHECK(member->name == "second");
  CHECK(member->zone == "cellar");
  const auto members = scene.founder().membership->members();
  REQUIRE(members.size() == 1);
  CHECK(members[0].node == keys.curve.public_key);
  CHECK(members[0].sign_key == keys.sign.public_key());
  CHECK_FALSE(members[0].address);
  REQUIRE(scene.founder().disk.roster);
  CHECK((*scene.founder().disk.roster)->version == 2);
}

TEST_CASE("membership: the other members learn of a new one, and its address, by greetings",
          "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  scene.ping_all();
  auto& third = scene.join_new("third");
  CHECK(second.version() == 2);
  for (int round = 0; round < 3; ++round)
    scene.ping_all();
  for (auto& peer : scene.peers) {
    CHECK(peer.version() == 3);
    CHECK((*peer.disk.roster)->version == 3);
    CHECK(peer.disk.state.records.size() == 3);
    CHECK(peer.membership->hello().records_digest ==
          scene.founder().membership->hello().records_digest);
  }
  REQUIRE(second.membership->address_of(third.id()));
  CHECK(second.membership->address_of(third.id())->endpoint == "tcp://127.0.0.1:7003");
  CHECK(second.membership->address_of(third.id())->broadcast_endpoint == "tcp://127.0.0.1:17003");

  const auto asked = scene.network.sent("get_roster");
  for (int round = 0; round < 5; ++round)
    scene.ping_all();
  CHECK(scene.network.sent("get_roster") == asked);  // all agree: nobody asks any more
}

TEST_CASE("membership: a ticket works once, for whoever came first", "[node]") {
  JoinScene scene;
  const auto invite = scene.invite();
  const auto first = NodeKeys::generate();
  const auto second = NodeKeys::generate();
  REQUIRE(scene.join(invite, JoinScene::request_of(first, "first")));
  const auto again = scene.join(invite, JoinScene::request_of(first, "first"));
  REQUIRE(again);  // the answer may have been lost
  CHECK((*again)->version == 2);
  const auto other = scene.join(invite, JoinScene::request_of(second, "second"));
  REQUIRE_FALSE(other);
  CHECK(other.error().code == Errc::denied);
  CHECK_THAT(other.error().what, Contains("used by another node"));
  CHECK_THAT(other.error().what, Contains("zdb invite"));
}

TEST_CASE("membership: a used ticket stays used after a restart", "[node]") {
  JoinScene scene;
  const auto used = scene.invite();
  const auto open = scene.invite();
  REQUIRE(scene.join(used, JoinScene::request_of(NodeKeys::generate(), "first")));
  scene.founder().start(true);
  CHECK(scene.founder().membership->invites() == std::set{used, open});
  CHECK_FALSE(scene.join(used, JoinScene::request_of(NodeKeys::generate(), "second")));
  REQUIRE(
      scene.founder().membership->set_own_address("tcp://127.0.0.1:7001", "tcp://127.0.0.1:17001"));
  CHECK(scene.join(open, JoinScene::request_of(NodeKeys::generate(), "third")));
}

TEST_CASE("membership: who was removed does not come back by the ticket it came in by", "[node]") {
  JoinScene scene;
  const auto used = scene.invite();
  const auto keys = NodeKeys::generate();
  REQUIRE(scene.join(used, JoinScene::request_of(keys, "guest")));

  SECTION("removed here") {
    REQUIRE(scene.remove(scene.founder(), {.node = "guest", .force = true}));
  }
  SECTION("removed by another administrator") {
    auto& other = scene.join_administrator("other");
    scene.ping_all();
    REQUIRE(scene.remove(other, {.node = "guest", .force = true}));
    scene.ping_all();
  }
  REQUIRE(scene.founder().mesh.roster().find(keys.curve.public_key) == nullptr);
  for (const bool restarted : {false, true}) {
    if (restarted) scene.founder().start(true);
    CHECK_FALSE(scene.founder().membership->invites().contains(used));
    const auto again = scene.join(used, JoinScene::request_of(keys, "guest"));
    REQUIRE_FALSE(again);
    CHECK(again.error().code == Errc::denied);
  }
}

TEST_CASE("membership: an expired or foreign ticket is refused, and its key forgotten", "[node]") {
  JoinScene scene;
  const auto invite = scene.invite(2);
  CHECK(scene.founder().membership->invites().contains(invite));
  const auto changes = scene.founder().changes;
  scene.world.run_for(2'001ms);
  CHECK(scene.founder().membership->invites().empty());
  CHECK(scene.founder().changes > changes);
  for (const auto& key : {invite, node_id(77)}) {
    const auto late = scene.join(key, JoinScene::request_of(NodeKeys::generate(), "late"));
    REQUIRE_FALSE(late);
    CHECK(late.error().code == Errc::denied);
    CHECK_THAT(late.error().what, Contains("zdb invite"));
  }
  CHECK(scene.founder().version() == 1);
}

TEST_CASE("membership: a refused join leaves the ticket good", "[node]") {
  JoinScene scene;
  const auto invite = scene.invite();
  const auto keys = NodeKeys::generate();
  const auto refused = [&](auto change) {
    auto request = JoinScene::request_of(keys, "second");
    change(request);
    const auto roster = scene.join(invite, request);
    return roster ? std::string() : roster.error().what;
  };
  CHECK_THAT(refused([](auto& r) { r.node_name = "founder"; }), Contains("--name"));
  CHECK_THAT(refused([](auto& r) { r.node_name = "a b"; }), Contains("node name 'a b'"));
  CHECK_THAT(refused([](auto& r) { r.node_name = ""; }), Contains("node name"));
  CHECK_THAT(refused([](auto& r) { r.zone = "a/b"; }), Contains("zone"));
  CHECK_THAT(refused([](auto& r) { r.weight = 0; }), Contains("weight"));
  CHECK_THAT(refused([](auto& r) { r.node = NodeId{}; }), Contains("without an id"));
  CHECK_THAT(refused([&](auto& r) { r.node = scene.founder().id(); }), Contains("signing key"));
  CHECK(scene.founder().version() == 1);
  CHECK(scene.join(invite, JoinScene::request_of(keys, "second")));
}

TEST_CASE("membership: a join that cannot be kept did not happen", "[node]") {
  JoinScene scene;
  const auto invite = scene.invite();
  const auto keys = NodeKeys::generate();
  scene.founder().disk.is_full = true;
  const auto refused = scene.join(invite, JoinScene::request_of(keys, "second"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::full);
  CHECK(scene.founder().version() == 1);
  CHECK_FALSE(scene.founder().membership->invite({}, nullptr));
  scene.founder().disk.is_full = false;
  CHECK(scene.join(invite, JoinScene::request_of(keys, "second")));
}

TEST_CASE("membership: a ticket is good again if the roster that it led to cannot be kept",
          "[node]") {
  JoinScene scene;
  const auto invite = scene.invite();
  scene.founder().disk.rosters_until_full = 0;
  const auto refused = scene.join(invite, JoinScene::request_of(NodeKeys::generate(), "second"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::full);
  CHECK(scene.founder().version() == 1);
  scene.founder().disk.rosters_until_full = SIZE_MAX;
  // Who was refused has forgotten its keys.
  CHECK(scene.join(invite, JoinScene::request_of(NodeKeys::generate(), "second")));
}

TEST_CASE("membership: who joins takes no more than a usual share", "[node]") {
  JoinScene scene;
  auto request = JoinScene::request_of(NodeKeys::generate(), "heavy");
  request.weight = 10'000;
  REQUIRE(scene.join(scene.invite(), request));
  CHECK(scene.founder().mesh.roster().find(request.node)->weight == weight_default);
  request = JoinScene::request_of(NodeKeys::generate(), "light");
  request.weight = 7;
  REQUIRE(scene.join(scene.invite(), request));
  CHECK(scene.founder().mesh.roster().find(request.node)->weight == 7);
}

TEST_CASE("membership: only the holder of the mesh key invites, and others say who", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  CHECK_FALSE(second.membership->holds_mesh_key());
  const auto refused = second.membership->invite({}, nullptr);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::denied);
  CHECK_THAT(refused.error().what, Contains("ask founder") && Contains("zdb mesh import"));
  const auto join = scene.world.run(
      second.membership->on_join(node_id(9), JoinScene::request_of(NodeKeys::generate(), "third")));
  CHECK_FALSE(join);
}

TEST_CASE("membership: a ticket says where to go and shares an owner only if asked", "[node]") {
  JoinScene scene;
  const auto& membership = *scene.founder().membership;
  auto& inviting = *scene.founder().membership;
  const auto owner = OwnerKeys::generate();
  const auto plain = parse_ticket(*inviting.invite({.expires_s = 60}, &owner));
  REQUIRE(plain);
  CHECK(plain->mesh == mesh_id(mesh_key()));
  CHECK(plain->endpoint == "tcp://127.0.0.1:7001");
  CHECK(plain->server == scene.founder().id());
  CHECK(plain->expires_ms == scene.founder().runtime.now_ms() + 60'000);
  CHECK_FALSE(plain->owner);
  const auto sharing = parse_ticket(*inviting.invite({.share_owner = true}, &owner));
  REQUIRE(sharing->owner);
  CHECK(OwnerKeys(*sharing->owner).id() == owner.id());
  CHECK(membership.invites().size() == 2);

  CHECK(inviting.invite({.share_owner = true}, nullptr).error().code == Errc::denied);
  CHECK(inviting.invite({.expires_s = 0}, nullptr).error().code == Errc::invalid);
  CHECK(inviting.invite({.expires_s = ~0ULL}, nullptr).error().code == Errc::invalid);
  for (int i = 2; i < 100; ++i)
    CHECK(inviting.invite({}, nullptr));
  CHECK(inviting.invite({}, nullptr).error().code == Errc::busy);
}
