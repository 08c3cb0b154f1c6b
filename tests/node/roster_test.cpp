#include "node/roster.hpp"

#include <catch2/catch.hpp>

#include "tests/node/rosters.hpp"

using namespace zerodb;
using namespace zerodb::test;

namespace {

/// What verify() says of `roster`, signed by the right key.
Result<SignedRoster> verified(const Roster& roster) {
  return SignedRoster::verify(SignedRoster::sign(roster, mesh_key()).wire(), roster.mesh);
}

NodeRecord record_of(std::uint8_t n) {
  return {.node = node_id(n),
          .sequence = 7,
          .endpoint = "tcp://127.0.0.1:7710",
          .broadcast_endpoint = "tcp://127.0.0.1:7711"};
}

Result<SignedRecord> verified(const NodeRecord& record, const SigningKey& key) {
  return SignedRecord::verify(SignedRecord::sign(record, key).wire(), roster_of(3));
}

}  // namespace

TEST_CASE("roster: what was signed is read back, with the same bytes", "[node]") {
  auto roster = roster_of(3, 9);
  roster.members[1].zone = "cellar";
  roster.members[2].weight = 10'000;
  roster.members[2].blind = true;
  roster.members[0].draining = true;
  const auto made = SignedRoster::sign(roster, mesh_key());
  const auto read = SignedRoster::verify(made.wire(), roster.mesh);
  REQUIRE(read);
  CHECK(read->wire() == made.wire());
  CHECK(read->roster().version == 9);
  REQUIRE(read->roster().find(node_id(2)) != nullptr);
  CHECK(read->roster().find(node_id(2))->zone == "cellar");
  CHECK(read->roster().find_name("node3")->weight == 10'000);
  CHECK(read->roster().find_name("node3")->blind);
  CHECK(read->roster().find_name("node1")->draining);
  CHECK_FALSE(read->roster().find_name("node2")->draining);
  CHECK(read->hash() == made.hash());
  CHECK(read->roster().find(node_id(4)) == nullptr);
  CHECK(read->roster().find_name("nobody") == nullptr);
  CHECK(SignedRoster::verify(made.wire(), MeshId{}));
}

TEST_CASE("roster: no changed byte is accepted", "[node]") {
  const auto made = SignedRoster::sign(roster_of(2), mesh_key());
  for (std::size_t at = 0; at < made.wire().size(); ++at) {
    auto changed = made.wire();
    changed[at] ^= 0x01;
    CHECK_FALSE(SignedRoster::verify(changed, MeshId{}));
  }
  auto cut = made.wire();
  while (!cut.empty()) {
    cut.resize(cut.size() / 2);
    CHECK_FALSE(SignedRoster::verify(cut, MeshId{}));
  }
}

TEST_CASE("roster: another mesh's, or one signed by a stranger, is refused", "[node]") {
  const auto made = SignedRoster::sign(roster_of(1), mesh_key());
  const auto other = SignedRoster::verify(made.wire(), mesh_id(mesh_key(201)));
  REQUIRE_FALSE(other);
  CHECK(other.error().code == Errc::denied);

  const auto forged = SignedRoster::sign(roster_of(1), mesh_key(201));  // names mesh 200
  const auto read = SignedRoster::verify(forged.wire(), MeshId{});
  REQUIRE_FALSE(read);
  CHECK(read.error().code == Errc::corrupt);
}

TEST_CASE("roster: a record's signature does not pass for a roster's", "[node]") {
  const auto roster = SignedRoster::sign(roster_of(1), mesh_key());
  auto as_record = roster_of(1);
  as_record.members[0].sign_key = mesh_key().public_key();
  CHECK_FALSE(SignedRecord::verify(roster.wire(), as_record));
}

TEST_CASE("roster: rules are checked even under a good signature", "[node]") {
  const auto refused = [](auto change) {
    auto roster = roster_of(3);
    change(roster);
    const auto read = verified(roster);
    return !read && read.error().code == Errc::invalid;
  };
  CHECK(refused([](Roster& r) { r.version = 0; }));
  CHECK(refused([](Roster& r) { r.members.clear(); }));
  CHECK(refused([](Roster& r) { r.members[1].node = r.members[0].node; }));
  CHECK(refused([](Roster& r) { r.members[1].name = r.members[0].name; }));
  CHECK(refused([](Roster& r) { r.members[1].node = NodeId{}; }));
  CHECK(refused([](Roster& r) { r.members[1].sign_key = SignKey{}; }));
  CHECK(refused([](Roster& r) { r.members[1].weight = 0; }));
  CHECK(refused([](Roster& r) { r.members[1].weight = 10'001; }));
  CHECK(refused([](Roster& r) { r.members[1].name = ""; }));
  CHECK(refused([](Roster& r) { r.members[1].name = "a b"; }));
  CHECK(refused([](Roster& r) { r.members[1].name = std::string(65, 'a'); }));
  CHECK(refused([](Roster& r) { r.members[1].zone = "z\n"; }));
  CHECK(refused([](Roster& r) { r.members.assign(members_max + 1, member(1)); }));
}

TEST_CASE("roster: a thousand members fit", "[node]") {
  Roster roster{.mesh = mesh_id(mesh_key()), .version = 1, .members = {}};
  for (std::size_t i = 0; i < members_max; ++i) {
    auto one = member(1);
    put_u32(one.node.mutable_view().first(4), static_cast<std::uint32_t>(i));
    one.name = std::to_string(i) + std::string(60, 'n');
    one.zone = std::string(64, 'z');
    roster.members.push_back(one);
  }
  CHECK(verified(roster));
}

TEST_CASE("record: a member's own word is accepted", "[node]") {
  const auto read = verified(record_of(2), node_key(2));
  REQUIRE(read);
  CHECK(read->record().sequence == 7);
  CHECK(read->record().broadcast_endpoint == "tcp://127.0.0.1:7711");
}

TEST_CASE("record: a stranger's, or one that another member signed, is refused", "[node]") {
  const auto stranger = verified(record_of(4), node_key(4));
  REQUIRE_FALSE(stranger);
  CHECK(stranger.error().code == Errc::denied);
  const auto forged = verified(record_of(2), node_key(3));
  REQUIRE_FALSE(forged);
  CHECK(forged.error().code == Errc::corrupt);
  CHECK_FALSE(SignedRecord::verify({}, roster_of(3)));
}

TEST_CASE("record: an endpoint that nobody can dial is refused", "[node]") {
  for (const auto* endpoint : {"", "tcp://*:1", "tcp://host:0", "ipc:///x", "tcp://h:1 "}) {
    auto record = record_of(2);
    record.broadcast_endpoint = endpoint;
    CHECK_FALSE(verified(record, node_key(2)));
    record = record_of(2);
    record.endpoint = endpoint;
    CHECK_FALSE(verified(record, node_key(2)));
  }
  auto record = record_of(2);
  record.endpoint = "tcp://" + std::string(300, 'a') + ":1";
  CHECK_FALSE(verified(record, node_key(2)));
}
