#include "node/mesh.hpp"

#include <catch2/catch.hpp>
#include <set>

#include "tests/node/rosters.hpp"

using namespace zerodb;
using namespace zerodb::test;

namespace {

SignedRoster signed_roster(std::uint8_t count, std::uint64_t version) {
  return SignedRoster::sign(roster_of(count, version), mesh_key());
}

MemberProgress progress(const SignedRoster& roster, std::uint64_t settled) {
  return {.roster = roster.hash(),
          .roster_version = roster->version,
          .working_version = roster->version,
          .settled_version = settled,
          .clean_version = 0};
}

/// All others than node 1 are as far as that.
void hear_all(Mesh& mesh, std::uint64_t settled) {
  for (const auto& member : mesh.roster().members)
    mesh.hear(member.node, progress(mesh.signed_roster(), settled));
}

/// The versions of the rosters in force, oldest first.
std::vector<std::uint64_t> in_force(const Mesh& mesh) {
  std::vector<std::uint64_t> versions;
  for (const auto& roster : mesh.older_rosters())
    versions.push_back(roster->version);
  versions.push_back(mesh.roster().version);
  return versions;
}

/// The first partition that the two rosters place on different nodes.
Partition moved_partition(const SignedRoster& one, const SignedRoster& other) {
  const Placement before(one.roster());
  const Placement after(other.roster());
  for (std::size_t i = 0; i < partition_count; ++i) {
    const auto partition = static_cast<Partition>(i);
    if (std::set(before.nodes_for(partition).begin(), before.nodes_for(partition).end()) !=
        std::set(after.nodes_for(partition).begin(), after.nodes_for(partition).end())) {
      return partition;
    }
  }
  FAIL("nothing moves");
  return 0;
}

using Versions = std::vector<std::uint64_t>;

}  // namespace

TEST_CASE("mesh: only a later roster of the same mesh is adopted, and observers hear of it",
          "[node]") {
  Mesh mesh(node_id(1), signed_roster(2, 5), std::nullopt);
  int told = 0;
  mesh.on_change([&] { ++told; });
  CHECK_FALSE(mesh.adopt(signed_roster(2, 5)));
  CHECK_FALSE(mesh.adopt(signed_roster(3, 4)));
  auto other = roster_of(3, 6);
  other.mesh = mesh_id(mesh_key(201));
  CHECK_FALSE(mesh.adopt(SignedRoster::sign(other, mesh_key(201))));
  CHECK(told == 0);
  CHECK(mesh.roster().members.size() == 2);
  CHECK(mesh.adopt(signed_roster(3, 6)));
  CHECK(told == 1);
  CHECK(mesh.placement().replicas() == 3);
}

TEST_CASE("mesh: a founding node is whole and settled, one whose store was lost is neither",
          "[node]") {
  const Mesh founder(node_id(1), signed_roster(1, 1), signed_roster(1, 1));
  CHECK(founder.is_whole());
  CHECK(founder.is_settled());
  CHECK(founder.is_settled_by_all());

  Mesh hollow(node_id(5), signed_roster(5, 5), std::nullopt);
  CHECK_FALSE(hollow.is_whole());
  CHECK_FALSE(hollow.settle(signed_roster(5, 4).hash()));
  CHECK_FALSE(hollow.is_whole());
  const auto remembered = hollow.settle(hollow.signed_roster().hash());
  REQUIRE(remembered);
  CHECK(remembered->roster().version == 5);
  CHECK(hollow.is_settled());
}

TEST_CASE("mesh: a roster is in force until every member has settled under a later one", "[node]") {
  Mesh mesh(node_id(1), signed_roster(3, 1), signed_roster(3, 1));
  CHECK(in_force(mesh) == Versions{1});
  REQUIRE(mesh.adopt(signed_roster(4, 2)));
  REQUIRE(mesh.adopt(signed_roster(5, 3)));
  CHECK(in_force(mesh) == Versions{1, 2, 3});
  hear_all(mesh, 2);
  CHECK(in_force(mesh) == Versions{1, 2, 3});  // this node has not
  REQUIRE(mesh.settle(mesh.signed_roster().hash()));
  CHECK(in_force(mesh) == Versions{2, 3});
  hear_all(mesh, 3);
  CHECK(in_force(mesh) == Versions{3});
  CHECK(mesh.is_settled_by_all());
}

TEST_CASE("mesh: a member of which nothing is known, or whose store was lost, ends no roster",
          "[node]") {
  Mesh mesh(node_id(1), signed_roster(3, 1), signed_roster(3, 1));
  REQUIRE(mesh.adopt(signed_roster(4, 2)));
  REQUIRE(mesh.settle(mesh.signed_roster().hash()));
  mesh.hear(node_id(2), progress(mesh.signed_roster(), 2));
  mesh.hear(node_id(3), progress(mesh.signed_roster(), 2));
  CHECK(in_force(mesh) == Versions{1, 2});
  mesh.hear(node_id(4), progress(mesh.signed_roster(), 0));
  CHECK(in_force(mesh) == Versions{1, 2});
  CHECK_FALSE(mesh.is_whole(node_id(4)));
  mesh.hear(node_id(9), progress(mesh.signed_roster(), 0));  // a stranger
  mesh.hear(node_id(4), progress(mesh.signed_roster(), 2));
  CHECK(in_force(mesh) == Versions{2});
}

TEST_CASE("mesh: who is waited for is who has not adopted the roster, then who lacks something",
          "[node]") {
  Mesh mesh(node_id(1), signed_roster(3, 1), signed_roster(3, 1));
  const auto before = mesh.signed_roster();
  CHECK(mesh.waited_for() == std::vector{node_id(2), node_id(3)});  // never heard of
  REQUIRE(mesh.adopt(signed_roster(3, 2)));
  mesh.hear(node_id(2), progress(mesh.signed_roster(), 1));
  mesh.hear(node_id(3), progress(before, 1));
  CHECK(mesh.waited_for() == std::vector{node_id(3)});
  auto busy = progress(mesh.signed_roster(), 1);
  busy.working_version = 1;
  mesh.hear(node_id(3), busy);
  CHECK(mesh.waited_for() == std::vector{node_id(3)});
  mesh.hear(node_id(3), progress(mesh.signed_roster(), 2));
  CHECK(mesh.waited_for() == std::vector{node_id(1), node_id(2)});
  REQUIRE(mesh.settle(mesh.signed_roster().hash()));
  hear_all(mesh, 2);
  CHECK(mesh.waited_for().empty());
}

TEST_CASE("mesh: a member under another roster counts for neither adopted nor settled", "[node]") {
  Mesh mesh(node_id(1), signed_roster(2, 2), signed_roster(2, 2));
  mesh.hear(node_id(2), progress(signed_roster(3, 2), 2));
  CHECK_FALSE(mesh.is_adopted_by_all());
  CHECK_FALSE(mesh.is_settled_by_all());
  mesh.hear(node_id(2), progress(mesh.signed_roster(), 2));
  CHECK(mesh.is_adopted_by_all());
  CHECK(mesh.is_settled_by_all());
}

TEST_CASE("mesh: who still works under an older roster has not adopted the later one", "[node]") {
  Mesh mesh(node_id(1), signed_roster(1, 1), signed_roster(1, 1));
  auto first = mesh.begin_work();
  auto second = mesh.begin_work();
  REQUIRE(mesh.adopt(signed_roster(1, 2)));
  const auto third = mesh.begin_work();
  CHECK(mesh.own_progress().working_version == 1);
  first.end();
  CHECK_FALSE(mesh.is_adopted_by_all());
  second = Mesh::Work();
  CHECK(mesh.own_progress().working_version == 2);
  CHECK(mesh.is_adopted_by_all());
}

TEST_CASE("mesh: requests go to every placement in force, and need a quorum in each", "[node]") {
  const auto before = signed_roster(3, 1);
  const auto after = signed_roster(4, 2);
  const auto partition = moved_partition(before, after);
  Mesh mesh(node_id(1), before, before);
  CHECK(mesh.targets(partition).placements() == 1);
  const auto settled = mesh.targets(partition);
  CHECK(settled.nodes().size() == 3);
  REQUIRE(mesh.adopt(after));
  CHECK(mesh.targets(partition).placements() == 1);  // not before all have adopted it
  CHECK(mesh.own_progress().working_version == 1);
  hear_all(mesh, 1);
  CHECK(mesh.own_progress().working_version == 2);
  const auto targets = mesh.targets(partition);
  CHECK(targets.placements() == 2);
  CHECK(targets.nodes().size() == 4);
  CHECK(targets.is_placed(node_id(4)));

  const auto good = [](std::set<NodeId> nodes) {
    return [nodes = std::move(nodes)](const NodeId& node) { return nodes.contains(node); };
  };
  std::vector<NodeId> stay;
  NodeId leaves;
  for (std::uint8_t n = 1; n <= 3; ++n) {
    if (targets.is_placed(node_id(n)))
      stay.push_back(node_id(n));
    else
      leaves = node_id(n);
  }
  REQUIRE(stay.size() == 2);
  CHECK(targets.count_for_write(good({stay[0], stay[1]})).is_enough());
  CHECK_FALSE(targets.count_for_write(good({stay[0], leaves})).is_enough());
  CHECK_FALSE(targets.count_for_write(good({stay[0], node_id(4)})).is_enough());
  CHECK(targets.count_for_write(good({stay[0], leaves, node_id(4)})).is_enough());
  CHECK_FALSE(targets.count_for_read(good({leaves, node_id(4)})).is_enough());
}

TEST_CASE("mesh: nodes that left the mesh are asked for nothing, and needed for nothing",
          "[node]") {
  Mesh mesh(node_id(1), signed_roster(3, 1), signed_roster(3, 1));
  auto smaller = roster_of(3, 2);
  std::erase_if(smaller.members, [](const auto& m) { return m.node == node_id(2); });
  REQUIRE(mesh.adopt(SignedRoster::sign(smaller, mesh_key())));
  const auto targets = mesh.targets(7);
  CHECK(targets.nodes().size() == 2);
  CHECK(targets.count_for_write([](const NodeId&) { return true; }).is_enough());
}

TEST_CASE("mesh: after a restart in the middle of a change, every roster in force is worked under",
          "[node]") {
  const auto before = signed_roster(3, 1);
  const auto after = signed_roster(4, 2);
  const Mesh restarted(node_id(1), after, before, {before});
  CHECK(restarted.targets(moved_partition(before, after)).placements() == 2);
}

TEST_CASE("mesh: rosters in force outlive a restart and are handed on", "[node]") {
  Mesh mesh(node_id(1), signed_roster(3, 1), signed_roster(3, 1));
  REQUIRE(mesh.adopt(signed_roster(4, 2)));
  REQUIRE(mesh.adopt(signed_roster(5, 3)));
  const Mesh restarted(node_id(1), mesh.signed_roster(), signed_roster(3, 1), mesh.older_rosters());
  CHECK(in_force(restarted) == Versions{1, 2, 3});

  Mesh joined(node_id(5), signed_roster(5, 3), signed_roster(4, 2));
  CHECK(in_force(joined) == Versions{3});
  joined.learn_older(mesh.older_rosters());
  joined.learn_older(mesh.older_rosters());
  CHECK(in_force(joined) == Versions{1, 2, 3});
}

TEST_CASE("mesh: a roster that is over comes into force no more, whoever says it is", "[node]") {
  Mesh mesh(node_id(1), signed_roster(4, 5), signed_roster(4, 5));
  mesh.learn_older({signed_roster(3, 4)});  // a member may know of one that this node does not
  CHECK(in_force(mesh) == Versions{4, 5});
  CHECK(mesh.over_before() == 0);
  hear_all(mesh, 5);
  CHECK(in_force(mesh) == Versions{5});
  CHECK(mesh.over_before() == 5);

  const auto replay = [](Mesh& to) {
    to.hear(node_id(2), progress(to.signed_roster(), 0));
    to.learn_older({signed_roster(2, 1), signed_roster(3, 2)});
    to.hear(node_id(2), progress(to.signed_roster(), 1));
    to.learn_older({signed_roster(2, 1), signed_roster(3, 4)});
  };
  replay(mesh);
  CHECK(in_force(mesh) == Versions{5});
  Mesh restarted(node_id(1), mesh.signed_roster(), mesh.signed_roster(), mesh.older_rosters(),
                 mesh.over_before());
  replay(restarted);
  CHECK(in_force(restarted) == Versions{5});

  REQUIRE(mesh.adopt(signed_roster(5, 6)));
  replay(mesh);
  CHECK(in_force(mesh) == Versions{5, 6});
  CHECK(mesh.over_before() == 5);
}

TEST_CASE("mesh: what was over before a node joined does not come into force there", "[node]") {
  const std::vector older = {signed_roster(4, 5), signed_roster(4, 6)};
  const auto latest = signed_roster(5, 7);
  CHECK(oldest_in_force(latest, {}) == 7);
  CHECK(oldest_in_force(latest, older) == 5);
  Mesh mesh(node_id(5), latest, older.back(), older, oldest_in_force(latest, older));
  mesh.hear(node_id(2), progress(latest, 0));
  mesh.learn_older({signed_roster(2, 1), signed_roster(3, 4)});
  CHECK(in_force(mesh) == Versions{5, 6, 7});
  hear_all(mesh, 6);
  mesh.hear(node_id(2), progress(latest, 0));
  mesh.learn_older({signed_roster(2, 1), signed_roster(3, 4)});
  CHECK(in_force(mesh) == Versions{6, 7});
}

TEST_CASE("mesh: of two rosters of one version neither is over because the other one was settled",
          "[node]") {
  auto one = signed_roster(2, 6);
  auto other = signed_roster(3, 6);
  if (stands_over(one, other)) std::swap(one, other);
  Mesh mesh(node_id(1), one, one);
  hear_all(mesh, 6);
  CHECK(mesh.over_before() == 6);
  REQUIRE(mesh.adopt(other));
  CHECK(in_force(mesh) == Versions{6, 6});
  mesh.learn_older({one});
  CHECK(in_force(mesh) == Versions{6, 6});
}

TEST_CASE("mesh: of too many rosters in force the oldest and the latest are kept", "[node]") {
  Mesh mesh(node_id(1), signed_roster(3, 1), signed_roster(3, 1));
  for (std::uint64_t version = 2; version <= 20; ++version)
    REQUIRE(mesh.adopt(signed_roster(4, version)));
  const auto versions = in_force(mesh);
  CHECK(versions.size() == rosters_in_force_max);
  CHECK(versions.front() == 1);
  CHECK(versions[1] == 6);
}

TEST_CASE("mesh: to be settled under the other roster of one version counts as the version before",
          "[node]") {
  auto one = signed_roster(2, 6);
  auto other = signed_roster(3, 6);
  if (stands_over(one, other)) std::swap(one, other);
  Mesh mesh(node_id(1), one, one);
  REQUIRE(mesh.adopt(other));
  CHECK(mesh.own_progress().settled_version == 5);
  CHECK(in_force(mesh) == Versions{6, 6});
  const Mesh restarted(node_id(1), other, one, {one});
  CHECK_FALSE(restarted.is_settled());
}

TEST_CASE("mesh: members are described by name, strangers by id", "[node]") {
  const Mesh mesh(node_id(1), signed_roster(2, 1), std::nullopt);
  CHECK(mesh.describe(node_id(2)) == "node2 (02020202)");
  CHECK(mesh.describe(node_id(9)) == "09090909");
}

TEST_CASE("mesh: of two rosters of one version the one with the greater hash stands, in any order",
          "[node]") {
  auto one = signed_roster(2, 6);
  auto other = signed_roster(3, 6);
  if (stands_over(one, other)) std::swap(one, other);
  CHECK_FALSE(stands_over(one, other));
  CHECK_FALSE(stands_over(other, other));

  Mesh mesh(node_id(1), one, std::nullopt);
  const auto before = mesh.signed_roster().hash();
  CHECK(mesh.adopt(other));
  CHECK_FALSE(mesh.adopt(one));
  CHECK_FALSE(mesh.adopt(other));
  CHECK(mesh.signed_roster().hash() == other.hash());
  CHECK_FALSE(mesh.settle(before));  // what was compared under the one says nothing of the other
  CHECK(mesh.settle(other.hash()));
}
