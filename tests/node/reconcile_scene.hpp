#pragma once
// A simulated mesh that has come to rest, and an owner whose objects its nodes compare. One thread.

#include <catch2/catch.hpp>

#include "tests/sim/sealed_object.hpp"
#include "tests/sim/sim_mesh.hpp"

namespace zerodb::test {

struct ReconcileScene {
  explicit ReconcileScene(std::size_t nodes) : mesh(nodes) { REQUIRE(mesh.run_until_quiet()); }

  Version now(std::uint64_t plus = 0) {
    return {Version::at(mesh[0].runtime.now_ms()).value + plus};
  }
  sim::SealedObject seal(std::string_view name, std::uint64_t size = 1'000) {
    return sim::seal_object(owner, {.name = name, .size = size, .version = now()});
  }
  /// As a gateway does behind an acknowledged write.
  void announce(std::size_t from, const SignedManifest& manifest) {
    if (manifest->is_tombstone()) {
      mesh[from].links.publish(manifest->object, broadcast::Delete{manifest.wire()});
    } else {
      mesh[from].links.publish(manifest->object, broadcast::Store{manifest.wire()});
    }
  }
  bool has(std::size_t node, const SignedManifest& manifest) {
    const auto latest = mesh[node].store.latest(manifest->object);
    return latest && *latest && (*latest)->hash() == manifest.hash();
  }
  bool has(std::size_t node, const sim::SealedObject& object) { return has(node, object.manifest); }
  bool is_all_settled(std::size_t node) { return mesh[node].mesh.is_settled(); }
  /// Cuts the node off until its links have noticed.
  void isolate(std::size_t node) {
    mesh.down(node);
    mesh.world().run_for(std::chrono::seconds(10));
  }
  void bring_back(std::size_t node) {
    mesh.up(node);
    REQUIRE(mesh.run_until_linked());
    REQUIRE(mesh.run_until_quiet());
  }

  sim::SimMesh mesh;
  OwnerKeys owner = OwnerKeys::generate();
};

}  // namespace zerodb::test
