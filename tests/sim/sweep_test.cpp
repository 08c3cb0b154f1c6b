// Deletions: remembered until nothing is left that they defend against, then forgotten, and never
// undone.
#include <catch2/catch.hpp>

#include "tests/sim/sealed_object.hpp"
#include "tests/sim/sim_mesh.hpp"

using namespace zerodb;
using sim::keep_in;
using sim::seal_object;
using sim::SealedObject;

namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr Milliseconds keep = minutes(20);
constexpr Milliseconds interval = minutes(5);

struct Sweep {
  static sim::SimMeshOptions options() {
    sim::SimMeshOptions options;
    options.node.tombstones.interval = interval;
    options.node.tombstone_keep = keep;
    options.node.greeting_interval = seconds(5);
    return options;
  }

  explicit Sweep(std::size_t nodes) : mesh(nodes, options()) {
    REQUIRE(mesh.run_until_quiet());
    REQUIRE(mesh.run_until_moved());
  }

  Version now(std::uint64_t plus = 0) {
    return {Version::at(mesh[0].runtime.now_ms()).value + plus};
  }
  SealedObject store(std::string_view name) {
    auto object = seal_object(owner, {.name = name, .version = now()});
    for (std::size_t node = 0; node < mesh.size(); ++node) {
      const auto partition = partition_of(object.id().hashed_key);
      if (mesh[node].mesh.is_placed_here(partition)) keep_in(mesh[node].store, object);
    }
    return object;
  }
  void remove_at(std::string_view name, std::initializer_list<std::size_t> nodes) {
    const auto tombstone = sim::sign_tombstone(owner, name, now(1));
    for (const auto node : nodes)
      REQUIRE(mesh[node].store.commit_inline(tombstone, {}));
  }
  /// What a node holds of the object.
  enum class Holds { nothing, tombstone, object };
  Holds held(std::size_t node, const ObjectId& object) {
    const auto latest = mesh[node].store.latest(object);
    REQUIRE(latest);
    if (!*latest) return Holds::nothing;
    return (**latest)->is_tombstone() ? Holds::tombstone : Holds::object;
  }

  sim::SimMesh mesh;
  OwnerKeys owner = OwnerKeys::generate();
};

using Holds = Sweep::Holds;

}  // namespace

TEST_CASE("sweep: a tombstone goes when it is old and every node has confirmed it", "[sim]") {
  Sweep sweep(3);
  const auto object = sweep.store("gone");
  sweep.remove_at("gone", {0, 1, 2});
  sweep.mesh.world().run_for(keep - minutes(1));
  for (std::size_t node = 0; node < 3; ++node)
    CHECK(sweep.held(node, object.id()) == Holds::tombstone);
  sweep.mesh.world().run_for(minutes(1) + 3 * interval);
  for (std::size_t node = 0; node < 3; ++node) {
    CHECK(sweep.held(node, object.id()) == Holds::nothing);
    CHECK(sweep.mesh[node].store.stats().tombstones == 0);
  }
}

TEST_CASE("sweep: a node that slept through a delete and its sweep cannot bring the object back",
          "[sim]") {
  Sweep sweep(3);
  const auto object = sweep.store("zombie");
  sweep.mesh.down(2);
  sweep.mesh.world().run_for(seconds(10));
  sweep.remove_at("zombie", {0, 1});
  sweep.mesh.world().run_for(3 * keep);  // it cannot be told, so nobody forgets
  CHECK(sweep.held(0, object.id()) == Holds::tombstone);
  CHECK(sweep.held(1, object.id()) == Holds::tombstone);
  CHECK(sweep.held(2, object.id()) == Holds::object);
  sweep.mesh.up(2);
  REQUIRE(sweep.mesh.run_until_linked());
  REQUIRE(sweep.mesh.run_until_quiet());
  CHECK(sweep.held(2, object.id()) == Holds::tombstone);
  sweep.mesh.world().run_for(3 * interval);
  for (std::size_t node = 0; node < 3; ++node)
    CHECK(sweep.held(node, object.id()) == Holds::nothing);
}

TEST_CASE("sweep: a node away that is not placed for the object holds the sweep up as well",
          "[sim]") {
  Sweep sweep(4);
  const auto object = sweep.store("kept");
  const auto partition = partition_of(object.id().hashed_key);
  std::size_t other = 0;
  while (sweep.mesh[other].mesh.is_placed_here(partition))
    ++other;
  sweep.mesh.down(other);
  sweep.mesh.world().run_for(seconds(10));
  const auto tombstone = sim::sign_tombstone(sweep.owner, "kept", sweep.now(1));
  for (std::size_t node = 0; node < 4; ++node) {
    if (node != other) REQUIRE(sweep.mesh[node].store.commit_inline(tombstone, {}));
  }
  keep_in(sweep.mesh[other].store, object);  // as after a change that it missed
  sweep.mesh.world().run_for(2 * keep);
  const auto placed = other == 0 ? 1U : 0U;
  CHECK(sweep.held(placed, object.id()) == Holds::tombstone);
  sweep.mesh.up(other);
  REQUIRE(sweep.mesh.run_until_linked());
  sweep.mesh.world().run_for(3 * interval);
  for (std::size_t node = 0; node < 4; ++node)
    CHECK(sweep.held(node, object.id()) == Holds::nothing);
}

TEST_CASE("sweep: a tombstone that is about to be swept is not fetched back", "[sim]") {
  Sweep sweep(3);
  const auto object = sweep.store("once");
  sweep.mesh.world().run_for(seconds(1));
  const auto tombstone = sim::sign_tombstone(sweep.owner, "once", sweep.now(1));
  for (std::size_t node = 0; node < 3; ++node)
    REQUIRE(sweep.mesh[node].store.commit_inline(tombstone, {}));
  sweep.mesh.world().run_for(keep + seconds(1));
  const Entry entry{.object = object.id(), .version = tombstone->version, .hash = tombstone.hash()};
  REQUIRE(sweep.mesh[0].store.drop(std::span(&entry, 1)));
  sweep.mesh[1].links.publish(object.id(), broadcast::Delete{tombstone.wire()});
  sweep.mesh[0].reconcile->on_link_up(sweep.mesh[1].id());
  sweep.mesh.world().run_for(seconds(20));
  CHECK(sweep.held(0, object.id()) == Holds::nothing);
}

TEST_CASE("sweep: an object that was put again after its deletion stays", "[sim]") {
  Sweep sweep(3);
  const auto first = sweep.store("again");
  sweep.remove_at("again", {0, 1, 2});
  sweep.mesh.world().run_for(minutes(1));
  const auto second = sweep.store("again");
  sweep.mesh.world().run_for(2 * keep);
  for (std::size_t node = 0; node < 3; ++node)
    CHECK(sweep.held(node, second.id()) == Holds::object);
}
