// Taking over what a roster places here, until this node is settled.
#include "tests/node/reconcile_scene.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using sim::keep_in;
using sim::SealedObject;
using test::ReconcileScene;

TEST_CASE("reconcile: a node alone is settled at once", "[sim]") {
  ReconcileScene scene(1);
  CHECK(scene.is_all_settled(0));
  REQUIRE(scene.mesh[0].remembered);
}

TEST_CASE("reconcile: a node that joins takes over its partitions, then is settled", "[sim]") {
  ReconcileScene scene(3);
  std::vector<SealedObject> objects;
  for (int i = 0; i < 40; ++i) {
    objects.push_back(scene.seal("object " + std::to_string(i), i % 10 == 0 ? 2 * mib : 100));
    for (std::size_t node = 0; node < 3; ++node)
      keep_in(scene.mesh[node].store, objects.back());
  }
  scene.mesh.join();
  CHECK_FALSE(scene.is_all_settled(3));
  CHECK((*scene.mesh[3].remembered)->version == 1);
  const bool settled = scene.mesh.world().run_until(
      [&] {
        if (!scene.is_all_settled(3)) return false;
        for (const auto& object : objects) {
          const bool here = scene.mesh[3].mesh.is_placed_here(partition_of(object.id().hashed_key));
          if (here) CHECK(scene.has(3, object));  // at the very moment it says so
        }
        return true;
      },
      std::chrono::seconds(30));
  CHECK(settled);
  REQUIRE(scene.mesh[3].remembered);
  CHECK((*scene.mesh[3].remembered)->version == 2);
  CHECK(scene.mesh.run_until_moved(std::chrono::minutes(1)));
}

TEST_CASE("reconcile: a joining node waits for a member that is away until it is back or removed",
          "[sim]") {
  ReconcileScene scene(3);
  scene.isolate(2);
  const auto object = scene.seal("kept");
  for (const std::size_t node : {0U, 1U})
    keep_in(scene.mesh[node].store, object);
  scene.mesh.join();
  scene.mesh.world().run_for(std::chrono::minutes(5));
  CHECK_FALSE(scene.is_all_settled(3));
  const bool comes_back = scene.mesh.world().chance(500);
  INFO("it comes back: " << comes_back);
  if (comes_back) {
    scene.bring_back(2);
  } else {
    scene.mesh.remove(2);
  }
  CHECK(scene.mesh.world().run_until([&] { return scene.is_all_settled(3); },
                                     std::chrono::seconds(60)));
}

TEST_CASE("reconcile: members that join in a row all get what the first one has", "[sim]") {
  ReconcileScene scene(1);
  std::vector<SealedObject> objects;
  for (int i = 0; i < 10; ++i) {
    objects.push_back(scene.seal("object " + std::to_string(i), i == 0 ? 8 * mib : 100));
    keep_in(scene.mesh[0].store, objects.back());
  }
  scene.mesh.join();
  scene.mesh.join();
  for (const std::size_t node : {1U, 2U}) {
    CHECK(scene.mesh.world().run_until([&] { return scene.is_all_settled(node); },
                                       std::chrono::minutes(2)));
    for (const auto& object : objects)
      CHECK(scene.has(node, object));
  }
}

TEST_CASE("reconcile: nobody settles without what its only holder is too busy to hand out",
          "[sim]") {
  ReconcileScene scene(1);
  const auto object = scene.seal("object", 2 * mib);
  keep_in(scene.mesh[0].store, object);
  const bool in_leaves = GENERATE(true, false);
  scene.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                       Result<PeerAnswer>& answer) {
    const bool bytes = in_leaves ? std::holds_alternative<peer::GetLeaves>(request)
                                 : std::holds_alternative<peer::GetChunk>(request);
    if (replier == scene.mesh[0].id() && bytes) answer = fail(Errc::timeout, "busy");
  };
  scene.mesh.join();
  scene.mesh.join();
  scene.mesh.world().run_for(std::chrono::minutes(3));
  CHECK_FALSE(scene.is_all_settled(1));
  CHECK_FALSE(scene.is_all_settled(2));
  scene.mesh.network().on_answer = nullptr;
  CHECK(scene.mesh.world().run_until(
      [&] { return scene.is_all_settled(1) && scene.is_all_settled(2); },
      std::chrono::minutes(15)));
  CHECK(scene.has(1, object));
  CHECK(scene.has(2, object));
}

TEST_CASE("reconcile: a restart in the middle of a take-over begins it again", "[sim]") {
  ReconcileScene scene(2);
  std::vector<SealedObject> objects;
  for (int i = 0; i < 30; ++i) {
    objects.push_back(scene.seal("object " + std::to_string(i), mib));
    for (const std::size_t node : {0U, 1U})
      keep_in(scene.mesh[node].store, objects.back());
  }
  scene.mesh.join();
  REQUIRE(scene.mesh.world().run_until([&] { return scene.mesh[2].store.stats().objects > 3; },
                                       std::chrono::seconds(30)));
  scene.mesh[2].restart();
  CHECK(scene.mesh.world().run_until([&] { return scene.is_all_settled(2); },
                                     std::chrono::minutes(2)));
  for (const auto& object : objects)
    CHECK(scene.has(2, object));
}
