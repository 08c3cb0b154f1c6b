#include "node/membership.hpp"

#include "tests/node/join_scene.hpp"

using namespace zerodb;
using namespace zerodb::test;

TEST_CASE("membership: restarted on new ports, all find each other from one who is known",
          "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  auto& third = scene.join_new("third");
  for (int round = 0; round < 3; ++round)
    scene.ping_all();
  for (auto* peer : {&second, &third}) {
    peer->start(false);
    CHECK(peer->membership->address_of(scene.founder().id()));
    const auto port = peer == &second ? "8002" : "8003";
    REQUIRE(peer->membership->set_own_address("tcp://127.0.0.1:" + std::string(port),
                                              "tcp://127.0.0.1:1" + std::string(port)));
  }
  for (int round = 0; round < 3; ++round)
    scene.ping_all();
  CHECK(second.membership->address_of(third.id())->endpoint == "tcp://127.0.0.1:8003");
  CHECK(third.membership->address_of(second.id())->endpoint == "tcp://127.0.0.1:8002");
}

TEST_CASE("membership: the same address is not signed anew", "[node]") {
  JoinScene scene;
  const auto before = scene.founder().membership->hello().record;
  scene.founder().start(true);
  REQUIRE(
      scene.founder().membership->set_own_address("tcp://127.0.0.1:7001", "tcp://127.0.0.1:17001"));
  CHECK(scene.founder().membership->hello().record == before);
}

TEST_CASE("membership: a node restored from an old copy takes its word back", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  scene.ping_all();
  const auto old = second.disk.state;
  scene.world.run_for(1s);
  REQUIRE(second.membership->set_own_address("tcp://127.0.0.1:9000", "tcp://127.0.0.1:9001"));
  scene.ping_all();
  second.disk.state = old;
  second.start(false);  // it listens where it did at first, and knows no better
  REQUIRE(second.membership->set_own_address("tcp://127.0.0.1:7002", "tcp://127.0.0.1:17002"));
  for (int round = 0; round < 15; ++round)
    scene.ping_all();
  CHECK(scene.founder().membership->address_of(second.id())->endpoint == "tcp://127.0.0.1:7002");
  CHECK(second.membership->address_of(second.id())->endpoint == "tcp://127.0.0.1:7002");
}

TEST_CASE("membership: forged, foreign and stale words change nothing", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  scene.ping_all();
  auto& membership = *scene.founder().membership;
  const auto told = [&](Bytes record) {
    return scene.world
        .run(membership.on_hello(second.id(), {.record = std::move(record), .records_digest = {}}))
        .has_value();
  };
  const auto before = membership.hello().records_digest;
  REQUIRE(membership.address_of(second.id()));
  NodeRecord later{.node = second.id(),
                   .sequence = ~0ULL,
                   .endpoint = "tcp://127.0.0.1:1",
                   .broadcast_endpoint = "tcp://127.0.0.1:2"};
  CHECK_FALSE(told(SignedRecord::sign(later, node_key(3)).wire()));
  CHECK_FALSE(told({}));
  CHECK_FALSE(told(Bytes(5000, 0xc1)));
  later.sequence = 1;
  CHECK(told(SignedRecord::sign(later, second.keys.sign).wire()));  // stale: believed, not kept
  auto stranger = NodeKeys::generate();
  later.node = stranger.curve.public_key;
  CHECK_FALSE(told(SignedRecord::sign(later, stranger.sign).wire()));
  CHECK(membership.hello().records_digest == before);
}

TEST_CASE("membership: missed writes are told of with greetings, each number once", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  scene.ping_all();
  int told = 0;
  second.mesh.on_missed_writes([&] { ++told; });
  scene.ping_all();
  CHECK(told == 0);
  for (int number = 1; number <= 2; ++number) {
    scene.founder().mesh.note_missed_write(second.id());
    scene.ping_all();
    scene.ping_all();
    CHECK(told == number);
  }
  second.mesh.note_missed_write(scene.founder().id());
  scene.ping_all();
  CHECK(told == 2);  // it is for the others to look
}

TEST_CASE("membership: who promises a later roster and gives nonsense is asked seldom", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  scene.ping_all();
  auto forged = scene.founder().mesh.roster();
  forged.version = 99;
  second.lie = peer::GetRoster::Reply{.roster = SignedRoster::sign(forged, mesh_key(201)).wire(),
                                      .records = {Bytes(10, 1)}};
  auto reply = peer::Hello::Reply{.record = second.membership->hello().record,
                                  .roster_version = 99,
                                  .roster_hash = Bytes(RosterHash::size, 1),
                                  .records_digest = {},
                                  .time_ms = scene.founder().runtime.now_ms()};
  const auto asked = scene.network.sent("get_roster");
  for (int ping = 0; ping < 9; ++ping) {
    scene.founder().membership->on_hello_answered(second.id(), reply);
    scene.world.run_for(1s);
  }
  CHECK(scene.network.sent("get_roster") == asked + 1);
  scene.world.run_for(5s);
  scene.founder().membership->on_hello_answered(second.id(), reply);
  scene.world.run_for(1s);
  CHECK(scene.network.sent("get_roster") == asked + 2);
  CHECK(scene.founder().version() == 2);
}

TEST_CASE("membership: a member with a new word in every greeting is heard now and then",
          "[node]") {
  JoinScene scene;
  auto& other = scene.join_new("other");
  scene.ping_all();
  scene.world.run_for(2s);
  auto& founder = scene.founder();
  NodeRecord word{.node = other.id(),
                  .sequence = founder.runtime.now_ms() + 1'000'000,
                  .endpoint = "tcp://127.0.0.1:1",
                  .broadcast_endpoint = "tcp://127.0.0.1:2"};
  const auto greet = [&] {
    word.sequence += 1;
    auto hello = other.membership->hello();
    hello.record = SignedRecord::sign(word, other.keys.sign).wire();
    CHECK(scene.world.run(founder.membership->on_hello(other.id(), std::move(hello))));
  };
  const auto before = founder.changes;
  for (int i = 0; i < 100; ++i)
    greet();
  CHECK(founder.changes - before == 1);
  scene.world.run_for(1s);
  greet();
  CHECK(founder.changes - before == 2);
}

TEST_CASE("membership: of two rosters of one version, the same one stands everywhere", "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  auto& third = scene.join_new("third");
  for (int round = 0; round < 3; ++round)
    scene.ping_all();
  for (const auto* peer : {&second, &third}) {  // two administrators, who have not met
    auto next = scene.founder().mesh.roster();
    next.version = 4;
    next.members.back().zone = peer == &second ? "attic" : "cellar";
    scene.peers[peer == &second ? 1 : 2].mesh.adopt(SignedRoster::sign(next, mesh_key()));
  }
  const auto later =
      std::max(second.mesh.signed_roster().hash(), third.mesh.signed_roster().hash());
  for (int round = 0; round < 3; ++round)
    scene.ping_all();
  for (const auto& peer : scene.peers) {
    CHECK(peer.version() == 4);
    CHECK(peer.mesh.signed_roster().hash() == later);
  }
  const auto asked = scene.network.sent("get_roster");
  for (int round = 0; round < 5; ++round)
    scene.ping_all();
  CHECK(scene.network.sent("get_roster") == asked);
}

TEST_CASE("membership: damaged files cost records and invites, not the start", "[node]") {
  JoinScene scene;
  scene.join_new("second");
  scene.ping_all();
  auto& disk = scene.founder().disk;
  disk.state.invites = Bytes(20, 0xff);
  for (auto& record : disk.state.records)
    record[record.size() / 2] ^= 1;
  scene.founder().start(true);
  CHECK(scene.founder().membership->invites().empty());
  CHECK(scene.founder().membership->members().size() == 1);
  REQUIRE(
      scene.founder().membership->set_own_address("tcp://127.0.0.1:7001", "tcp://127.0.0.1:17001"));
  scene.ping_all();
  CHECK(scene.founder().membership->members()[0].address);
}
