#include "node/roster_change.hpp"

#include <catch2/catch.hpp>

#include "store/hash.hpp"
#include "tests/node/rosters.hpp"

using namespace zerodb;
using namespace zerodb::test;
using Catch::Matchers::Contains;

namespace {

SignedRoster sign(const Roster& roster) {
  return SignedRoster::sign(roster, mesh_key());
}

RosterChange draining(std::uint8_t n, bool drains = true) {
  return {.id = {}, .node = node_id(n), .draining = drains};
}
RosterChange removal(std::uint8_t n) {
  return {.id = {}, .node = node_id(n), .removed = true};
}
RosterChange joining(std::uint8_t n, const std::string& name) {
  auto joins = member(n);
  joins.name = name;
  return {.id = {}, .node = node_id(n), .added = std::move(joins)};
}

SignedRoster after(const SignedRoster& roster, RosterChange change) {
  const auto next = with_change(roster, std::move(change));
  REQUIRE(next);
  return sign(*next);
}

}  // namespace

TEST_CASE("roster change: each kind changes what it says, and one version", "[node]") {
  const auto base = sign(roster_of(3, 7));
  const auto drained = after(base, draining(2));
  CHECK(drained->version == 8);
  CHECK(drained->find(node_id(2))->draining);
  CHECK_FALSE(drained->find(node_id(1))->draining);
  CHECK_FALSE(after(drained, draining(2, false))->find(node_id(2))->draining);

  const auto set = after(base, {.id = {}, .node = node_id(3), .zone = "attic", .weight = 250});
  CHECK(set->find(node_id(3))->zone == "attic");
  CHECK(set->find(node_id(3))->weight == 250);
  CHECK(after(base, removal(1))->find(node_id(1)) == nullptr);
  CHECK(after(base, joining(4, "fourth"))->find_name("fourth")->node == node_id(4));
}

TEST_CASE("roster change: what cannot be is refused", "[node]") {
  const auto base = sign(roster_of(2));
  CHECK(with_change(base, draining(9)).error().code == Errc::not_found);
  CHECK(with_change(base, removal(9)).error().code == Errc::not_found);
  CHECK(with_change(base, joining(4, "node2")).error().code == Errc::invalid);
}

TEST_CASE("roster change: a roster remembers its latest changes, and no more than that", "[node]") {
  auto roster = sign(roster_of(2));
  for (std::size_t i = 0; i < changes_kept + 3; ++i)
    roster = after(roster, draining(2, i % 2 == 0));
  CHECK(roster->changes.size() == changes_kept);
  CHECK(SignedRoster::verify(roster.wire(), roster->mesh));
  auto crowded = roster.roster();
  crowded.changes.push_back(crowded.changes.front());
  CHECK_FALSE(SignedRoster::verify(sign(crowded).wire(), crowded.mesh));
}

TEST_CASE("roster change: the largest roster is read, and one of more values is not", "[node]") {
  auto largest = roster_of(2);
  while (largest.members.size() < members_max) {
    auto member = largest.members.front();
    member.node = random_id<NodeId>();
    member.name = "member" + std::to_string(largest.members.size());
    largest.members.push_back(member);
  }
  for (std::size_t i = 0; i < changes_kept; ++i) {
    RosterChange change{
        .id = {}, .node = node_id(2), .draining = true, .zone = "attic", .weight = 2};
    change.added = largest.members.front();
    largest.changes.push_back(change);
  }
  CHECK(SignedRoster::verify(sign(largest).wire(), largest.mesh));

  // {"a": [[0, ...], ...]} of a million values, signed by the mesh's own key.
  Bytes nested{0x81, 0xA1, 'a', 0xDC, 0x03, 0xE8};
  for (int i = 0; i < 1000; ++i) {
    for (const std::uint8_t byte : {0xDC, 0x03, 0xE8})
      nested.push_back(byte);
    nested.resize(nested.size() + 1000);
  }
  nested.resize(nested.size() + Signature::size);
  const auto refused = SignedRoster::verify(nested, largest.mesh);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().what, Catch::Contains("items"));
}

TEST_CASE("roster change: what one of two administrators did at once is made again", "[node]") {
  const auto base = after(sign(roster_of(4)), draining(4));
  const auto one = after(base, draining(2));
  const auto other = after(base, {.id = {}, .node = node_id(3), .weight = 300});
  const auto lost = lost_changes(one.roster(), other.roster());
  REQUIRE(lost.size() == 1);
  CHECK(lost[0].node == node_id(2));
  const auto both = with_lost_changes(other, lost);
  REQUIRE(both);
  CHECK(both->version == other->version + 1);
  CHECK(both->find(node_id(2))->draining);
  CHECK(both->find(node_id(3))->weight == 300);
  CHECK(lost_changes(one.roster(), *both).empty());
  CHECK(lost_changes(other.roster(), *both).empty());
}

TEST_CASE("roster change: what was known and then changed deliberately is not made again",
          "[node]") {
  const auto drains = after(sign(roster_of(3)), draining(2));
  const auto undrains = after(drains, draining(2, false));
  CHECK(lost_changes(drains.roster(), undrains.roster()).empty());
}

TEST_CASE("roster change: a node that slept through many changes makes none again", "[node]") {
  const auto old = after(sign(roster_of(3)), draining(2));
  auto roster = old;
  for (std::size_t i = 0; i < changes_kept; ++i)
    roster = after(roster, draining(3, i % 2 == 0));
  CHECK(lost_changes(old.roster(), roster.roster()).empty());
}

TEST_CASE("roster change: the same change of the same roster is the same, whoever makes it",
          "[node]") {
  const auto base = sign(roster_of(3));
  CHECK(after(base, draining(2)).hash() == after(base, draining(2)).hash());
  CHECK(after(base, draining(2)).hash() != after(base, draining(3)).hash());
}

TEST_CASE("roster change: what makes no sense any more is left out", "[node]") {
  const auto base = sign(roster_of(2));
  const auto joined = after(base, joining(4, "new"));
  const auto taken = after(base, joining(5, "new"));
  const auto both = with_lost_changes(taken, lost_changes(joined.roster(), taken.roster()));
  REQUIRE(both);
  CHECK(both->find(node_id(5))->name == "new");
  CHECK(both->find(node_id(4))->name == "new-2");

  const auto gone = after(base, removal(2));
  CHECK_FALSE(
      with_lost_changes(gone, lost_changes(after(base, draining(2)).roster(), gone.roster())));
  CHECK_FALSE(with_lost_changes(gone, {removal(1)}));  // somebody must stay
}

TEST_CASE("roster change: a member is found by its name or by how its id begins", "[node]") {
  auto roster = roster_of(3);
  roster.members[2].node.mutable_view()[0] = 0x01;  // 0103..., beside node1's 0101...
  roster.members[1].name = "0101";
  CHECK(find_member(roster, "node1")->node == node_id(1));
  CHECK(find_member(roster, "0101")->node == node_id(2));  // a name goes first
  CHECK(find_member(roster, "01010")->node == node_id(1));
  CHECK(find_member(roster, "0103")->name == "node3");
  CHECK(find_member(roster, node_id(2).hex())->name == "0101");
  CHECK(find_member(roster, "01").error().code == Errc::invalid);
  CHECK_THAT(find_member(roster, "01").error().what, Contains("node1") && Contains("node3"));
  for (const auto* name : {"", "node", "NODE1", "ff", "node1 "}) {
    CHECK(find_member(roster, name).error().code == Errc::not_found);
  }
}
