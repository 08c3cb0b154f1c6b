// What catching up costs, and what it does about members that lie.
#include <catch2/catch.hpp>

#include "node/entry_codec.hpp"
#include "tests/sim/sealed_object.hpp"
#include "tests/sim/sim_mesh.hpp"

using namespace zerodb;
using sim::keep_in;
using sim::seal_object;
using sim::SealedObject;

namespace {

using std::chrono::seconds;

constexpr std::size_t dense_partitions = partition_count / 10;

struct CatchUp {
  explicit CatchUp(std::size_t nodes) : mesh(nodes) { REQUIRE(mesh.run_until_quiet()); }

  SealedObject seal(const std::string& name, std::uint64_t size) {
    return seal_object(
        owner, {.name = name, .size = size, .version = Version::at(mesh[0].runtime.now_ms())});
  }
  /// A name of an object in one of the first tenth of all partitions.
  std::string next_name() {
    while (true) {
      auto name = "object " + std::to_string(next_++);
      if (partition_of(owner.hash_name(name)) < dense_partitions) return name;
    }
  }
  void isolate(std::size_t node) {
    mesh.down(node);
    mesh.world().run_for(seconds(10));
  }

  sim::SimMesh mesh;
  OwnerKeys owner = OwnerKeys::generate();
  std::uint64_t next_ = 0;
};

}  // namespace

// A tenth of 100,000 objects in a tenth of the partitions: as many entries in each as there would
// be.
TEST_CASE("catch up: missing one object in a hundred costs less than three times their bytes",
          "[sim]") {
  CatchUp scene(3);
  constexpr std::size_t count = 10'000;
  constexpr std::size_t missed = count / 100;
  constexpr std::uint64_t size = 2'048;
  for (std::size_t i = 0; i < count - missed; ++i) {
    const auto object = scene.seal(scene.next_name(), 64);
    for (std::size_t node = 0; node < 3; ++node)
      keep_in(scene.mesh[node].store, object);
  }
  scene.isolate(2);
  std::uint64_t missed_bytes = 0;
  for (std::size_t i = 0; i < missed; ++i) {
    const auto object = scene.seal(scene.next_name(), size);
    missed_bytes += object.chunks[0].size() + object.manifest.wire().size();
    for (const std::size_t node : {0U, 1U})
      keep_in(scene.mesh[node].store, object);
  }
  auto& network = scene.mesh.network();
  const auto before = network.bytes() - network.bytes("hello") - network.bytes("get_digests");
  scene.mesh.up(2);
  REQUIRE(scene.mesh.run_until_linked());
  REQUIRE(scene.mesh.run_until_quiet());
  CHECK(scene.mesh[2].store.digests() == scene.mesh[0].store.digests());
  const auto spent =
      network.bytes() - network.bytes("hello") - network.bytes("get_digests") - before;
  INFO("missed " << missed_bytes << ", spent " << spent << ", on listing "
                 << network.bytes("get_entries"));
  // Digests are the same 64 KiB an exchange for any number of objects: a tenth of them counts here.
  CHECK(spent + 4 * 64 * 1024 / 10 < 3 * missed_bytes);
}

TEST_CASE("catch up: a member that lies about what it has is passed over, the rest still heals",
          "[sim]") {
  CatchUp scene(4);
  scene.isolate(3);
  std::vector<SealedObject> objects;
  for (int i = 0; i < 20; ++i) {
    objects.push_back(scene.seal("object " + std::to_string(i), 500));
    for (std::size_t node = 0; node < 3; ++node)
      keep_in(scene.mesh[node].store, objects.back());
  }
  const auto liar = scene.mesh[0].id();
  const auto kind = scene.mesh.world().random_between(0, 3);
  INFO("kind of lie " << kind);
  scene.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                       Result<PeerAnswer>& answer) {
    if (replier != liar || !answer) return;
    const bool digests = std::holds_alternative<peer::GetDigests>(request);
    const auto* entries = std::get_if<peer::GetEntries>(&request);
    if (digests && kind == 0) answer->payload = Payload::take(Bytes(7));  // no digests at all
    if (digests && kind != 0) {                                           // everything differs
      auto bytes = to_bytes(answer->payload.view());
      for (auto& byte : bytes)
        byte ^= 0x5a;
      answer->payload = Payload::take(std::move(bytes));
    }
    if (entries == nullptr) return;
    if (kind == 1) {  // endless
      std::get<peer::GetEntries::Reply>(answer->message).next_partition = entries->partitions[0];
    }
    if (kind == 2) answer->payload = Payload::take(Bytes(entry_bytes, 0xff));  // not asked for
    if (kind == 3) {  // of what nobody signed
      Bytes invented;
      Entry entry{.object = objects[0].id(), .version = {~std::uint64_t{0} / 2}, .hash = {}};
      append_entry(invented, entry);
      answer->payload = Payload::take(std::move(invented));
    }
  };
  scene.mesh.up(3);
  REQUIRE(scene.mesh.run_until_linked());
  scene.mesh.world().run_for(std::chrono::minutes(3));
  for (const auto& object : objects) {
    if (!scene.mesh[3].mesh.is_placed_here(partition_of(object.id().hashed_key))) continue;
    const auto latest = scene.mesh[3].store.latest(object.id());
    REQUIRE(latest);
    REQUIRE(*latest);
    CHECK((*latest)->hash() == object.manifest.hash());
  }
}

TEST_CASE("catch up: nothing is dropped on the word of a member that answers nonsense", "[sim]") {
  CatchUp scene(3);
  std::vector<SealedObject> objects;
  for (int i = 0; i < 20; ++i) {
    objects.push_back(scene.seal("object " + std::to_string(i), 500));
    for (std::size_t node = 0; node < 3; ++node)
      keep_in(scene.mesh[node].store, objects.back());
  }
  scene.mesh.network().on_answer = [&](const NodeId&, const peer::Request& request,
                                       Result<PeerAnswer>& answer) {
    if (!std::holds_alternative<peer::Confirm>(request) || !answer) return;
    answer->payload = Payload::take(Bytes(answer->payload.size() + 1, 2));
  };
  scene.mesh.join();
  REQUIRE(scene.mesh.run_until_linked());
  CHECK_FALSE(scene.mesh.run_until_moved(std::chrono::minutes(5)));
  for (std::size_t node = 0; node < 3; ++node)
    CHECK(scene.mesh[node].store.stats().objects == objects.size());
}
