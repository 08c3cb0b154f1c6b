#include "node/mesh.hpp"

#include <catch2/catch.hpp>

#include "tests/node/rosters.hpp"

using namespace zerodb;
using namespace zerodb::test;

namespace {

SignedRoster signed_roster(std::uint8_t count, std::uint64_t version) {
  return SignedRoster::sign(roster_of(count, version), mesh_key());
}

std::size_t count_settled(const Mesh& mesh) {
  std::size_t count = 0;
  for (std::size_t p = 0; p < partition_count; ++p) {
    count += mesh.is_settled(static_cast<Partition>(p)) ? 1U : 0U;
  }
  return count;
}

std::size_t count_placed(const Mesh& mesh) {
  std::size_t count = 0;
  for (std::size_t p = 0; p < partition_count; ++p) {
    count += mesh.is_placed_here(static_cast<Partition>(p)) ? 1U : 0U;
  }
  return count;
}

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

TEST_CASE("mesh: a founding node is settled at once, a joining one when it has taken over",
          "[node]") {
  const Mesh founder(node_id(1), signed_roster(1, 1), signed_roster(1, 1));
  CHECK(count_settled(founder) == partition_count);

  Mesh joiner(node_id(5), signed_roster(5, 5), std::nullopt);
  CHECK(count_settled(joiner) == 0);
  CHECK_FALSE(joiner.settle(signed_roster(5, 4).hash()));
  CHECK(count_settled(joiner) == 0);
  const auto remembered = joiner.settle(joiner.signed_roster().hash());
  REQUIRE(remembered);
  CHECK(remembered->roster().version == 5);
  CHECK(count_settled(joiner) == count_placed(joiner));
}

TEST_CASE("mesh: what was held before a roster change stays settled, what is new is not",
          "[node]") {
  Mesh mesh(node_id(1), signed_roster(6, 1), signed_roster(6, 1));
  const auto before = count_settled(mesh);
  CHECK(mesh.adopt(signed_roster(7, 2)));
  CHECK(count_settled(mesh) == count_placed(mesh));  // another node's arrival gives us nothing new
  CHECK(count_settled(mesh) < before);
  CHECK(mesh.adopt(signed_roster(4, 3)));
  CHECK(count_settled(mesh) < count_placed(mesh));
}

TEST_CASE("mesh: a partition that was elsewhere for a while must be taken over again", "[node]") {
  Mesh mesh(node_id(1), signed_roster(4, 1), signed_roster(4, 1));
  const auto before = count_settled(mesh);
  CHECK(mesh.adopt(signed_roster(5, 2)));
  CHECK(mesh.adopt(signed_roster(4, 3)));
  CHECK(count_placed(mesh) == before);
  CHECK(count_settled(mesh) < before);
  CHECK(mesh.settle(mesh.signed_roster().hash()));
  CHECK(count_settled(mesh) == before);
}

TEST_CASE("mesh: after a restart, the settled roster decides", "[node]") {
  const Mesh mesh(node_id(1), signed_roster(4, 9), signed_roster(6, 8));
  CHECK(count_settled(mesh) > 0);
  CHECK(count_settled(mesh) < count_placed(mesh));
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
