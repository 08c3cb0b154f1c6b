#include "node/membership.hpp"

#include <catch2/catch.hpp>
#include <deque>

#include "node/logging.hpp"
#include "node/ticket.hpp"
#include "store/recovery.hpp"
#include "tests/node/rosters.hpp"
#include "tests/sim/memory_store.hpp"
#include "tests/sim/seeded_world.hpp"
#include "tests/sim/sim_network.hpp"

using namespace zerodb;
using namespace zerodb::test;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

/// What a node has on disk, and whether the disk takes more.
struct Disk {
  std::optional<SignedRoster> roster;
  MembershipState state;
  std::vector<SignedRoster> older;
  std::optional<Seed> mesh_seed;
  bool is_full = false;

  MembershipFiles files() {
    return {
        .save_roster = [this](const SignedRoster& r) { return keep([&] { roster = r; }); },
        .save_older_rosters =
            [this](const std::vector<SignedRoster>& r) { return keep([&] { older = r; }); },
        .save_records =
            [this](const std::vector<Bytes>& r) { return keep([&] { state.records = r; }); },
        .save_invites = [this](ByteView i) { return keep([&] { state.invites = to_bytes(i); }); },
        .save_mesh_key = [this](const Seed& s) { return keep([&] { mesh_seed = s.clone(); }); }};
  }

 private:
  template <class Action>
  Status keep(Action action) {
    if (is_full) return fail(Errc::full, "no space left");
    action();
    return {};
  }
};

/// A node that is nothing but a member, and greets when it is told to.
class Peer final : public LinkHandler {
 public:
  Peer(sim::SimNetwork& network, NodeKeys node_keys, SignedRoster roster, bool founder)
      : keys(std::move(node_keys)),
        runtime(network.world()),
        mesh(keys.curve.public_key, roster, std::nullopt),
        links(network, keys.curve.public_key, *this) {
    disk.roster = std::move(roster);
    start(founder);
  }

  void start(bool founder) {
    std::optional<SigningKey> key;
    if (founder) key.emplace(mesh_key());
    const NodeContext context{.runtime = runtime, .links = links, .store = store, .mesh = mesh};
    membership.emplace(context, keys, std::move(key), disk.state, disk.files());
    membership->on_change([this] {
      ++changes;
      set_members();
    });
    set_members();
  }

  NodeId id() const { return keys.curve.public_key; }
  std::uint64_t version() const { return mesh.roster().version; }

  /// One ping to `other`, as the links make them.
  Task<Status> greet(NodeId other) {
    auto hello = membership->hello();
    auto answer = co_await call(links, other, std::move(hello), {}, 1s);
    if (!answer) co_return fail(std::move(answer.error()));
    membership->on_hello_answered(other, answer->message);
    co_return Status{};
  }

  Task<Result<PeerAnswer>> on_request(Caller caller, peer::Request request, Payload) override {
    if (auto* hello = std::get_if<peer::Hello>(&request)) {
      co_return co_await membership->on_hello(caller.key, std::move(*hello));
    }
    if (auto* news = std::get_if<peer::NewRoster>(&request)) {
      co_return co_await membership->on_new_roster(caller.key, std::move(*news));
    }
    if (lie) co_return PeerAnswer{*lie, {}};
    co_return co_await membership->on_get_roster(caller.key);
  }
  bool is_news(const broadcast::Message&) const override { return true; }
  void on_broadcast(NodeId, broadcast::Message) override {}
  void on_link_up(NodeId) override {}
  void on_link_down(NodeId) override {}

  NodeKeys keys;
  sim::SimRuntime runtime;
  sim::MemoryStore store;
  Mesh mesh;
  sim::SimLinks links;
  Disk disk;
  std::optional<Membership> membership;
  std::optional<peer::GetRoster::Reply> lie;  ///< answered in place of the truth
  int changes = 0;

 private:
  void set_members() {
    std::set<NodeId> ids;
    for (const auto& member : membership->members())
      ids.insert(member.node);
    links.set_members(std::move(ids));
  }
};

const bool quiet = set_up_logging({.level = "off"}).has_value();

/// A mesh founded by peer 0, which the others join by tickets.
class JoinScene {
 public:
  JoinScene() {
    auto keys = NodeKeys::generate();
    Roster roster{.mesh = mesh_id(mesh_key()), .version = 1, .members = {}};
    roster.members.push_back({.node = keys.curve.public_key,
                              .sign_key = keys.sign.public_key(),
                              .name = "founder",
                              .zone = {}});
    add(std::move(keys), SignedRoster::sign(roster, mesh_key()), true);
  }

  ~JoinScene() { world.drop_everything(); }  // while those it refers to are alive

  Peer& add(NodeKeys keys, SignedRoster roster, bool founder) {
    auto& peer = peers.emplace_back(network, std::move(keys), std::move(roster), founder);
    const auto port = std::to_string(7000 + peers.size());
    REQUIRE(
        peer.membership->set_own_address("tcp://127.0.0.1:" + port, "tcp://127.0.0.1:1" + port));
    return peer;
  }

  Peer& founder() { return peers.front(); }

  NodeId invite(std::uint64_t expires_s = 3600) {
    const auto text = founder().membership->invite({.expires_s = expires_s}, nullptr);
    REQUIRE(text);
    auto ticket = parse_ticket(*text);
    REQUIRE(ticket);
    return CurvePair::from_secret(std::move(ticket->invite)).public_key;
  }

  static peer::Join request_of(const NodeKeys& keys, std::string name) {
    return {.node = keys.curve.public_key,
            .sign_key = keys.sign.public_key(),
            .node_name = std::move(name),
            .zone = "cellar"};
  }

  Result<SignedRoster> join(const NodeId& invite, peer::Join request) {
    auto answer = world.run(founder().membership->on_join(invite, std::move(request)));
    if (!answer) return fail(std::move(answer.error()));
    auto& reply = std::get<peer::GetRoster::Reply>(answer->message);
    return SignedRoster::verify(reply.roster, mesh_id(mesh_key()));
  }

  Result<client::NodeChanged> set(Peer& at, client::NodeSet request) {
    return world.run(at.membership->node_set(std::move(request)));
  }
  Result<client::NodeChanged> remove(Peer& at, client::NodeRemove request) {
    return world.run(at.membership->node_remove(std::move(request)));
  }

  Peer& join_new(const std::string& name) {
    auto keys = NodeKeys::generate();
    auto roster = join(invite(), request_of(keys, name));
    REQUIRE(roster);
    return add(std::move(keys), std::move(*roster), false);
  }

  /// Every peer pings every other, and what follows from it happens.
  void ping_all() {
    world.run_for(1s);  // links of new members come up
    for (auto& from : peers) {
      for (auto& to : peers) {
        if (&from != &to) std::ignore = world.run(from.greet(to.id()));  // it may not know us yet
      }
    }
    world.run_for(1s);
  }

  /// What reconcile would do: each holds what the roster places on it, and all know.
  void settle_all() {
    for (auto& peer : peers)
      std::ignore = peer.mesh.settle(peer.mesh.signed_roster().hash());
    ping_all();
  }

  sim::SeededWorld world;
  sim::SimNetwork network{world};
  std::deque<Peer> peers;
};

}  // namespace

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
  auto& second = scene.join_new("second");
  auto& third = scene.join_new("third");
  scene.ping_all();
  REQUIRE(second.membership->mesh_import(*scene.founder().membership->mesh_export()));
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

TEST_CASE("membership: a node that joined through the administrator who lost stays a member",
          "[node]") {
  JoinScene scene;
  auto& second = scene.join_new("second");
  scene.ping_all();
  REQUIRE(second.membership->mesh_import(*scene.founder().membership->mesh_export()));
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
  CHECK(scene.remove(scene.founder(), {.node = away.hex(), .force = true}));
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
