// What a catalogue keeps over restarts, and when it begins again.
#include <catch2/catch.hpp>

#include <array>

#include "node/catalogue.hpp"
#include "store/hash.hpp"
#include "store/tally.hpp"
#include "tests/node/catalogue_scene.hpp"
#include "tests/sim/sealed_object.hpp"

using namespace zerodb;
using test::gateway_on;
using test::GatewayMesh;
using test::list;
using test::NameDisk;
using test::Names;
using test::names;
using test::pattern;

namespace {

/// Versions that one node took and nobody acknowledged: a deletion of "kept", and "added".
struct OnOneNode {
  OnOneNode(GatewayMesh& of, std::size_t on)
      : mesh(of),
        node(on),
        deletion(sim::sign_tombstone(of.keys, "kept",
                                     Version{of.kept(on, "kept").value()->version.value + 1})),
        added(sim::seal_object(of.keys, {.name = "added", .size = 10})) {
    mesh.mesh[node].store.commit_inline(deletion, {}).value();
    sim::keep_in(mesh.mesh[node].store, added);
  }

  /// What the node's disk had is gone.
  void lose() {
    const std::array lost{counted(deletion).entry, counted(added.manifest).entry};
    REQUIRE(mesh.mesh[node].store.drop(lost));
  }

  GatewayMesh& mesh;
  std::size_t node;
  SignedManifest deletion;
  sim::SealedObject added;
};

/// Three nodes, so that nothing moves when one leaves, which all have "kept"; and a gateway that
/// has listed it.
struct KeptOnAll {
  KeptOnAll() {
    mesh.let_nobody_be_late();
    REQUIRE(mesh.put(0, "kept", pattern(5)));
    mesh.mesh.world().run_for(std::chrono::seconds(1));
    CHECK(names(list(mesh, gateway)) == Names{"kept"});
  }

  NameDisk disk;
  GatewayMesh mesh{3};
  Gateway gateway = gateway_on(mesh, disk);
};

NameRecord record_of(const OwnerKeys& keys, const std::string& name) {
  return {.hashed_key = keys.hash_name(name),
          .hash = random_id<ManifestHash>(),
          .deleted = false,
          .entry = {.name = name, .size = 1, .version = Version::at(5), .mtime_ms = {}}};
}

}  // namespace

TEST_CASE("catalogue: what one node had and lost again hides nothing, and is not listed",
          "[gateway]") {
  KeptOnAll scene;
  auto& [disk, mesh, gateway] = scene;
  OnOneNode taken(mesh, 1);
  CHECK(names(list(mesh, gateway)) == Names{"added"});
  taken.lose();
  CHECK(names(list(mesh, gateway)) == Names{"kept"});
  CHECK(disk.cleared == 1);
}

TEST_CASE("catalogue: what a node had that was removed hides nothing, and is not listed",
          "[gateway]") {
  KeptOnAll scene;
  auto& [disk, mesh, gateway] = scene;
  const OnOneNode taken(mesh, 1);
  CHECK(names(list(mesh, gateway)) == Names{"added"});
  mesh.mesh.down(1);
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(names(list(mesh, gateway)) == Names{"added"});  // it may come back
  CHECK(disk.cleared == 0);
  mesh.mesh.remove(1);
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(names(list(mesh, gateway)) == Names{"kept"});
}

TEST_CASE("catalogue: what only a node has that was late is not lost", "[gateway]") {
  KeptOnAll scene;
  auto& [disk, mesh, gateway] = scene;
  const OnOneNode taken(mesh, 1);
  CHECK(names(list(mesh, gateway)) == Names{"added"});
  mesh.links[0].delays_of[{"get_digests", mesh.mesh[1].id()}] = Milliseconds(200);
  mesh.mesh[2].store.drop(std::array{counted(*mesh.kept(2, "kept")).entry}).value();
  CHECK(names(list(mesh, gateway)) == Names{"added"});
  CHECK(disk.cleared == 0);
}

TEST_CASE("catalogue: what is written, deleted and swept is no loss", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  auto gateway = gateway_on(mesh, disk);
  for (const bool is_told : {true, false}) {
    mesh.links[1].publishes = is_told;
    for (int i = 0; i < 20; ++i) {
      REQUIRE(mesh.put(1, "deleted " + std::to_string(i), pattern(5)));
      CHECK(names(list(mesh, gateway)).size() == 1);
      REQUIRE(mesh.remove(1, "deleted " + std::to_string(i)));
      CHECK(names(list(mesh, gateway)).empty());
    }
    for (std::size_t node = 0; node < 3; ++node) {
      std::vector<Entry> tombstones;
      for (int i = 0; i < 20; ++i) {
        const auto tombstone = mesh.kept(node, "deleted " + std::to_string(i));
        if (tombstone) tombstones.push_back(counted(*tombstone).entry);
      }
      REQUIRE(mesh.mesh[node].store.drop(tombstones));
    }
    CHECK(names(list(mesh, gateway)).empty());
  }
  CHECK(disk.cleared == 0);
}

TEST_CASE("catalogue: after a restart only what changed meanwhile is asked for", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  auto& network = mesh.mesh.network();
  for (int i = 0; i < 40; ++i)
    REQUIRE(mesh.put(0, "object " + std::to_string(i), pattern(5)).has_value());
  {
    auto gateway = gateway_on(mesh, disk);
    CHECK(names(list(mesh, gateway)).size() == 40);
    mesh.mesh.world().run_for(std::chrono::seconds(10));
  }
  const auto before = network.sent("get_entries");
  auto gateway = gateway_on(mesh, disk);
  CHECK(names(list(mesh, gateway)).size() == 40);
  CHECK(network.sent("get_entries") == before);
  REQUIRE(mesh.put(1, "another", pattern(5)).has_value());
  REQUIRE(mesh.remove(2, "object 7").has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(names(list(mesh, gateway)).size() == 40);
  CHECK(network.sent("get_entries") - before <= 4);
  CHECK(disk.cleared == 0);
}

TEST_CASE("catalogue: names that a crash loses are found again", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  const auto put = [&](Gateway& gateway, const std::string& name) {
    REQUIRE(mesh.mesh.run(gateway.put_small({.name = name}, Payload::copy_of(pattern(5)))));
  };
  {
    auto gateway = gateway_on(mesh, disk);
    put(gateway, "a");
    CHECK(names(list(mesh, gateway)) == Names{"a"});
    mesh.mesh.world().run_for(std::chrono::seconds(10));
    put(gateway, "b");
    disk.failures = 1'000;  // what is learnt from here on does not get there
    put(gateway, "c");
  }
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  disk.failures = 0;
  auto gateway = gateway_on(mesh, disk);
  CHECK(names(list(mesh, gateway)) == Names{"a", "b", "c"});
}

TEST_CASE("catalogue: a disk that fails while listing is begun again, unnoticed", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  auto gateway = gateway_on(mesh, disk);
  for (const std::string name : {"a", "b", "c"})
    REQUIRE(mesh.put(1, name, pattern(5)).has_value());
  CHECK(names(list(mesh, gateway)) == Names{"a", "b", "c"});
  disk.failures = 1;  // the page
  CHECK(names(list(mesh, gateway)) == Names{"a", "b", "c"});
  CHECK(disk.cleared == 1);
  REQUIRE(mesh.put(1, "d", pattern(5)).has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  disk.failures = 2;  // looking up, then again
  CHECK(names(list(mesh, gateway)) == Names{"a", "b", "c", "d"});
  CHECK(disk.cleared >= 2);
}

TEST_CASE("catalogue: a disk that always fails is done without", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  disk.failures = 1'000'000;
  disk.clear_fails = true;
  auto gateway = gateway_on(mesh, disk);
  for (const std::string name : {"a", "b"})
    REQUIRE(mesh.put(1, name, pattern(5)).has_value());
  CHECK(names(list(mesh, gateway)) == Names{"a", "b"});
  CHECK(names(list(mesh, gateway)) == Names{"a", "b"});
  CHECK(disk.cleared == 1);
}

TEST_CASE("catalogue: what missed the mesh for most of a day is begun again", "[gateway]") {
  NameDisk disk;
  test::GatewayMeshOptions of_hours;
  of_hours.mesh.node.greeting_interval = std::chrono::minutes(1);
  GatewayMesh mesh(3, of_hours);
  REQUIRE(mesh.put(0, "real", pattern(5)).has_value());
  const auto swept = record_of(mesh.keys, "deleted, and its tombstone swept");
  {
    auto gateway = gateway_on(mesh, disk);
    CHECK(names(list(mesh, gateway)) == Names{"real"});
    REQUIRE(disk.store->write({&swept, 1}, {}).has_value());
    mesh.mesh.world().run_for(std::chrono::seconds(10));
  }
  {
    auto gateway = gateway_on(mesh, disk);
    CHECK(names(list(mesh, gateway)).size() == 2);
    for (int hour = 0; hour < 30; ++hour) {
      mesh.mesh.world().run_for(std::chrono::hours(1));
      gateway.tend();
    }
    mesh.mesh.world().run_for(std::chrono::seconds(10));
  }
  {
    auto gateway = gateway_on(mesh, disk);  // a gateway that was tended has seen every deletion
    CHECK(names(list(mesh, gateway)).size() == 2);
  }
  CHECK(disk.cleared == 0);
  mesh.mesh.world().run_for(std::chrono::hours(21));
  auto gateway = gateway_on(mesh, disk);
  CHECK(names(list(mesh, gateway)) == Names{"real"});
  // While it runs, too, if it could not be tended.
  REQUIRE(disk.store->write({&swept, 1}, {}).has_value());
  CHECK(names(list(mesh, gateway)).size() == 2);
  mesh.mesh.world().run_for(std::chrono::hours(21));
  CHECK(names(list(mesh, gateway)) == Names{"real"});
}

TEST_CASE("catalogue: what is written while it is begun again is in it, or not taken for known",
          "[gateway]") {
  sim::SeededWorld world;
  sim::SimRuntime runtime(world);
  const auto keys = OwnerKeys::generate();
  const auto holder = random_id<NodeId>();
  const auto holders = [&](Partition) { return std::vector{holder}; };
  const auto names = std::make_shared<KnownNames>(runtime, keys.id(), holders, OpenNames(),
                                                  std::chrono::minutes(1), EventBounds{});
  for (int i = 0; i < 50; ++i) {
    world.run_for(std::chrono::minutes(2));
    names->learn(record_of(keys, "before " + std::to_string(i)));
    spawn(runtime, names->flush());
    spawn(runtime, names->renew());
    world.after_us(5, [&] {
      names->learn(record_of(keys, "during"));
      spawn(runtime, names->flush());
    });
    world.run_for(std::chrono::seconds(1));
    const auto page = world.run(names->page({}));
    REQUIRE(page);
    const bool is_listed = std::ranges::any_of(
        page->entries, [](const auto& entry) { return entry.name == "during"; });
    const auto& digest = names->digests_of(holder)[partition_of(keys.hash_name("during"))];
    CHECK(is_listed == (digest != PartitionDigest{}));
  }
}
