#include "node/placement.hpp"

#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "tests/node/rosters.hpp"

using namespace zerodb;
using namespace zerodb::test;

namespace {

std::map<NodeId, std::size_t> shares(const Placement& placement) {
  std::map<NodeId, std::size_t> count;
  for (std::size_t p = 0; p < partition_count; ++p) {
    for (const auto& node : placement.nodes_for(static_cast<Partition>(p)))
      ++count[node];
  }
  return count;
}

std::set<NodeId> nodes_of(const Placement& placement, std::size_t partition) {
  const auto& nodes = placement.nodes_for(static_cast<Partition>(partition));
  return {nodes.begin(), nodes.end()};
}

/// Every node that gained a partition between two placements.
std::set<NodeId> gainers(const Placement& from, const Placement& to) {
  std::set<NodeId> gained;
  for (std::size_t p = 0; p < partition_count; ++p) {
    const auto before = nodes_of(from, p);
    for (const auto& node : nodes_of(to, p)) {
      if (!before.contains(node)) gained.insert(node);
    }
  }
  return gained;
}

Roster without(Roster roster, std::uint8_t n) {
  std::erase_if(roster.members, [n](const RosterMember& m) { return m.node == node_id(n); });
  return roster;
}

}  // namespace

TEST_CASE("placement: as many replicas as there are nodes, at most three", "[node]") {
  for (std::uint8_t count = 1; count <= 5; ++count) {
    const Placement placement(roster_of(count));
    CHECK(placement.replicas() == std::min<std::uint32_t>(count, 3));
    for (std::size_t p = 0; p < partition_count; ++p) {
      CHECK(nodes_of(placement, p).size() == placement.replicas());
    }
  }
}

TEST_CASE("placement: quorums of writes and reads share a node, two writes too", "[node]") {
  for (std::uint32_t replicas = 1; replicas <= 9; ++replicas) {
    CHECK(write_quorum(replicas) + read_quorum(replicas) == replicas + 1);
    CHECK(2 * write_quorum(replicas) > replicas);
    CHECK(write_quorum(replicas) <= replicas);
  }
}

TEST_CASE("placement: ten equal nodes hold equal shares", "[node]") {
  const auto count = shares(Placement(roster_of(10)));
  REQUIRE(count.size() == 10);
  const double fair = 3.0 * partition_count / 10;
  for (const auto& [node, share] : count) {
    CHECK(static_cast<double>(share) == Approx(fair).epsilon(0.1));
  }
}

TEST_CASE("placement: twice the weight holds twice the share", "[node]") {
  Roster roster = roster_of(12);
  roster.members[0].weight = 200;
  const auto count = shares(Placement(roster));
  const double others = (3.0 * partition_count - static_cast<double>(count.at(node_id(1)))) / 11;
  CHECK(static_cast<double>(count.at(node_id(1))) == Approx(2 * others).epsilon(0.15));
}

TEST_CASE("placement: a new node is the only one that anything moves to", "[node]") {
  for (const auto* zone : {"", "a", "c"}) {
    Roster before = roster_of(6);
    before.members[0].zone = before.members[1].zone = before.members[2].zone = "a";
    before.members[3].zone = "b";
    Roster after = before;
    after.members.push_back(member(7, zone));
    CHECK(gainers(Placement(before), Placement(after)) == std::set{node_id(7)});
  }
}

TEST_CASE("placement: a node that leaves gives up only what it held", "[node]") {
  const auto roster = roster_of(8);
  const Placement before(roster);
  const Placement after(without(roster, 3));
  std::size_t moved = 0;
  for (std::size_t p = 0; p < partition_count; ++p) {
    auto expected = nodes_of(before, p);
    if (expected == nodes_of(after, p)) continue;
    ++moved;
    CHECK(expected.contains(node_id(3)));
    for (const auto& node : nodes_of(after, p))
      expected.erase(node);
    CHECK(expected == std::set{node_id(3)});
  }
  CHECK(moved == shares(before).at(node_id(3)));
}

TEST_CASE("placement: a draining node holds nothing, and only what it held moves", "[node]") {
  auto roster = roster_of(6);
  const Placement left(without(roster, 2));
  roster.members[1].draining = true;
  const Placement draining(roster);
  CHECK(draining.replicas() == 3);
  for (std::size_t p = 0; p < partition_count; ++p) {
    CHECK(draining.nodes_for(static_cast<Partition>(p)) ==
          left.nodes_for(static_cast<Partition>(p)));
  }
}

TEST_CASE("placement: with too few nodes that stay there are fewer replicas", "[node]") {
  auto roster = roster_of(3);
  roster.members[0].draining = true;
  const Placement two(roster);
  CHECK(two.replicas() == 2);
  CHECK_FALSE(shares(two).contains(node_id(1)));
  for (auto& member : roster.members)
    member.draining = true;
  CHECK(Placement(roster).replicas() == 3);  // data must be somewhere
}

TEST_CASE("placement: distinct zones first, then whoever is best", "[node]") {
  Roster roster = roster_of(9);
  for (std::size_t i = 0; i < 9; ++i)
    roster.members[i].zone = i < 7 ? "big" : i == 7 ? "x" : "y";
  const Placement three_zones(roster);
  roster.members[8].zone = "x";
  const Placement two_zones(roster);
  for (std::size_t p = 0; p < partition_count; ++p) {
    CHECK(nodes_of(three_zones, p).contains(node_id(8)));
    CHECK(nodes_of(three_zones, p).contains(node_id(9)));
    const auto nodes = nodes_of(two_zones, p);
    CHECK(nodes.size() == 3);
    CHECK((nodes.contains(node_id(8)) || nodes.contains(node_id(9))));
  }
}

TEST_CASE("placement: nodes without a zone do not count as failing together", "[node]") {
  Roster roster = roster_of(6);
  const auto without_zones = shares(Placement(roster));
  for (std::uint8_t n = 0; n < 6; ++n)
    roster.members[n].zone = "zone" + std::to_string(n);
  CHECK(without_zones == shares(Placement(roster)));
}

TEST_CASE("placement: the order of the roster does not matter", "[node]") {
  auto roster = roster_of(7);
  const Placement one(roster);
  std::ranges::reverse(roster.members);
  const Placement other(roster);
  for (std::size_t p = 0; p < partition_count; ++p) {
    const auto partition = static_cast<Partition>(p);
    CHECK(one.nodes_for(partition) == other.nodes_for(partition));
  }
}

TEST_CASE("placement: every build of zerodb gives the same answer", "[node]") {
  // Computed by an independent implementation of SipHash-2-4 and of the scores.
  Roster roster = roster_of(5);
  roster.members[0].zone = roster.members[1].zone = "a";
  roster.members[2].zone = "b";
  roster.members[2].weight = 300;
  roster.members[4].weight = 50;
  const Placement placement(roster);
  const auto is = [&](Partition partition, std::uint8_t a, std::uint8_t b, std::uint8_t c) {
    return placement.nodes_for(partition) == std::vector{node_id(a), node_id(b), node_id(c)};
  };
  CHECK(is(0, 2, 3, 5));
  CHECK(is(1, 1, 3, 4));
  CHECK(is(2, 3, 5, 1));
  CHECK(is(100, 1, 4, 3));
  CHECK(is(2048, 4, 5, 3));
  CHECK(is(4095, 3, 4, 5));
}
