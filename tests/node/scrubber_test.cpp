// Scrub and repair in a whole mesh, in virtual time.
#include "node/scrubber.hpp"

#include <catch2/catch.hpp>

#include "tests/sim/sealed_object.hpp"
#include "tests/sim/sim_mesh.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using sim::keep_in;
using sim::seal_object;
using sim::SealedObject;

namespace {

/// Three nodes that hold the same objects; node 0 scrubs.
struct ScrubScene {
  explicit ScrubScene(ScrubOptions options = {}, sim::SimMeshOptions of = {})
      : mesh(3, std::move(of)) {
    REQUIRE(mesh.run_until_quiet());
    begin(options, "");
  }
  ~ScrubScene() { scrubber->stop(); }

  void begin(const ScrubOptions& options, const std::string& saved_before) {
    scrubber = std::make_shared<Scrubber>(
        mesh[0].context(), options,
        ScrubFiles{.save = [this](const std::string& state) { saved = state; },
                   .saved = saved_before});
    scrubber->start();
  }

  SealedObject put(const std::string& name, std::uint64_t size) {
    auto object = seal_object(
        owner, {.name = name, .size = size, .version = Version::at(mesh[0].runtime.now_ms())});
    for (std::size_t node = 0; node < 3; ++node)
      keep_in(mesh[node].store, object);
    return object;
  }

  bool is_whole(const SealedObject& object) { return mesh[0].store.check(object.manifest).value(); }
  bool idle() {
    const auto status = scrubber->status();
    return !status.walking && !status.repairing;
  }
  void scrub_now() {
    scrubber->begin_now();
    REQUIRE(mesh.world().run_until([this] { return idle(); }, std::chrono::minutes(5)));
  }

  sim::SimMesh mesh;
  OwnerKeys owner = OwnerKeys::generate();
  std::string saved;
  std::shared_ptr<Scrubber> scrubber;
};

}  // namespace

TEST_CASE("scrub: damaged and missing versions are fetched again from a good holder", "[sim]") {
  ScrubScene scene;
  const auto small = scene.put("small", 900);
  const auto large = scene.put("large", 3 * mib);
  const auto lost = scene.put("lost", mib);
  scene.put("whole", 900);
  scene.mesh[0].store.damage(small.id(), 0);
  scene.mesh[0].store.damage(large.id(), 1);
  scene.mesh[0].store.lose(lost.id());
  scene.scrub_now();
  const auto status = scene.scrubber->status();
  CHECK(status.state.counts.versions == 4);
  CHECK(status.state.counts.damaged == 3);
  CHECK(status.state.repaired == 3);
  CHECK(scene.mesh[0].store.stats().damaged == 0);
  for (const auto* object : {&small, &large, &lost})
    CHECK(scene.is_whole(*object));
  scene.scrub_now();
  CHECK(scene.scrubber->status().state.counts.damaged == 0);
}

TEST_CASE("scrub: chunks that are whole here are not fetched", "[sim]") {
  ScrubScene scene;
  const auto large = scene.put("large", 8 * mib);
  scene.mesh[0].store.damage(large.id(), 5);
  const auto before = scene.mesh.network().sent("get_chunk");
  scene.scrub_now();
  CHECK(scene.is_whole(large));
  CHECK(scene.mesh.network().sent("get_chunk") == before + 1);
}

TEST_CASE("scrub: each chunk comes from a holder that has it whole", "[sim]") {
  ScrubScene scene;
  const auto large = scene.put("large", 3 * mib);
  for (std::size_t node = 0; node < 3; ++node)
    scene.mesh[node].store.damage(large.id(), node);
  scene.scrub_now();
  CHECK(scene.is_whole(large));
}

TEST_CASE("scrub: what cannot be repaired waits for a node that has it", "[sim]") {
  ScrubScene scene;
  const auto object = scene.put("name", 2 * mib);
  scene.mesh.down(1);
  scene.mesh.down(2);
  scene.mesh.world().run_for(std::chrono::seconds(10));
  scene.mesh[0].store.damage(object.id(), 0);
  scene.scrub_now();
  CHECK(scene.mesh[0].store.stats().damaged == 1);
  CHECK_FALSE(scene.scrubber->status().trouble.empty());
  scene.mesh.up(2);
  REQUIRE(scene.mesh.run_until_linked());
  scene.scrubber->repair_soon();  // as when the link comes up
  scene.mesh.world().run_for(std::chrono::seconds(5));
  CHECK(scene.mesh[0].store.stats().damaged == 0);
  CHECK(scene.scrubber->status().trouble.empty());
}

TEST_CASE("scrub: repairs asked for in haste are followed by no more than usual", "[sim]") {
  ScrubScene scene;
  const auto object = seal_object(
      scene.owner, {.size = 900, .version = Version::at(scene.mesh[0].runtime.now_ms())});
  keep_in(scene.mesh[0].store, object);  // and nowhere else
  scene.mesh[0].store.damage(object.id(), 0);
  scene.scrub_now();
  std::size_t asked = 0;
  scene.mesh.network().on_outcome = [&](const NodeId& asker, const NodeId&,
                                        const peer::Request& request, const Result<PeerAnswer>&) {
    const bool chunk = std::holds_alternative<peer::GetChunk>(request);
    if (asker == scene.mesh[0].id() && chunk) ++asked;
  };
  const auto followed = std::make_shared<std::size_t>(0);
  const auto follow = [](std::shared_ptr<Scrubber> scrubber,
                         std::shared_ptr<std::size_t> count) -> Task<void> {
    for (;; ++*count)
      co_await Scrubber::wait(scrubber, std::chrono::seconds(1));
  };
  spawn(scene.mesh[0].runtime, follow(scene.scrubber, followed));
  for (int i = 0; i < 200; ++i) {
    scene.scrubber->repair_soon();
    scene.mesh.world().run_for(std::chrono::seconds(1));
  }
  CHECK(asked >= 200);
  asked = 0;
  *followed = 0;
  scene.mesh.world().run_for(std::chrono::hours(1));
  CHECK(asked > 0);
  CHECK(asked <= 14);  // of two nodes, seven times
  CHECK(*followed <= 3'700);
}

TEST_CASE("scrub: a pace is kept, however often a walk was begun anew", "[sim]") {
  sim::SimMeshOptions of_days;
  of_days.node.greeting_interval = std::chrono::minutes(5);
  ScrubScene scene({.period = std::chrono::hours(24), .bytes_per_s_least = 64 << 10}, of_days);
  for (int i = 0; i < 8; ++i)
    scene.put("object " + std::to_string(i), mib);
  for (int i = 0; i < 200; ++i) {
    scene.scrub_now();
    scene.mesh.world().run_for(std::chrono::seconds(3));
  }
  scene.mesh.world().run_for(std::chrono::hours(23));
  const auto walks = [&] { return scene.scrubber->status().walking; };
  REQUIRE(scene.mesh.world().run_until(walks, std::chrono::hours(2)));
  const auto began = scene.mesh[0].runtime.steady_ms();
  REQUIRE(scene.mesh.world().run_until([&] { return !walks(); }, std::chrono::hours(2)));
  CHECK(scene.mesh[0].runtime.steady_ms() - began >= 7 * 16'000);
}

TEST_CASE("scrub: a lying holder is passed over", "[sim]") {
  ScrubScene scene;
  const auto object = scene.put("name", 2 * mib);
  const auto small = scene.put("small", 900);
  scene.mesh[0].store.damage(object.id(), 1);
  scene.mesh[0].store.damage(small.id(), 0);
  scene.mesh[1].store.damage(object.id(), 1);
  scene.mesh[1].store.damage(small.id(), 0);
  scene.scrub_now();
  CHECK(scene.is_whole(object));
  CHECK(scene.is_whole(small));
}

TEST_CASE("scrub: what a reader met is looked at", "[sim]") {
  ScrubScene scene;
  const auto object = scene.put("name", 2 * mib);
  scene.mesh[0].store.damage(object.id(), 1);
  scene.scrubber->suspect(object.manifest->binding());
  scene.mesh.world().run_for(std::chrono::seconds(5));
  CHECK(scene.is_whole(object));
  CHECK(scene.scrubber->status().state.repaired == 1);
}

TEST_CASE("scrub: what was found whole is not looked at again and again", "[sim]") {
  ScrubScene scene;
  const auto object = scene.put("name", 2 * mib);
  const auto suspect = [&] {
    for (int i = 0; i < 20; ++i) {
      scene.scrubber->suspect(object.manifest->binding());
      scene.mesh.world().run_for(std::chrono::seconds(10));
    }
  };
  suspect();
  CHECK(scene.mesh[0].store.checks() == 1);
  scene.mesh.world().run_for(std::chrono::hours(1));
  scene.mesh[0].store.damage(object.id(), 1);
  suspect();
  CHECK(scene.is_whole(object));
  CHECK(scene.scrubber->status().state.repaired == 1);
}

TEST_CASE("scrub: a paced walk begins by itself, takes its time, and again after the period",
          "[sim]") {
  sim::SimMeshOptions of_days;
  of_days.node.greeting_interval = std::chrono::minutes(5);
  ScrubScene scene({.period = std::chrono::hours(48)}, of_days);
  const auto object = scene.put("name", 2 * mib);
  scene.mesh[0].store.damage(object.id(), 0);
  scene.mesh.world().run_for(std::chrono::minutes(59));
  CHECK(scene.mesh[0].store.stats().damaged == 0);
  scene.mesh.world().run_for(std::chrono::minutes(15));
  CHECK(scene.is_whole(object));
  const auto first = scene.scrubber->status().state;
  CHECK(first.finished_ms > 0);
  CHECK_FALSE(first.unpaced);
  scene.mesh.world().run_for(std::chrono::hours(47));
  CHECK(scene.scrubber->status().state.started_ms == first.started_ms);
  scene.mesh.world().run_for(std::chrono::hours(2));
  CHECK(scene.scrubber->status().state.started_ms > first.started_ms);
}

TEST_CASE("scrub: a walk goes on where a restart broke it off", "[sim]") {
  ScrubScene scene;
  for (int i = 0; i < 5; ++i)
    scene.put("name " + std::to_string(i), 900);
  scene.scrubber->stop();
  scene.begin({},
              encode_scrub_state({.position = "3", .counts = {.versions = 3}, .started_ms = 5}));
  scene.mesh.world().run_for(std::chrono::minutes(5));
  CHECK(scene.idle());
  CHECK(scene.scrubber->status().state.counts.versions == 5);
  CHECK(decode_scrub_state(scene.saved)->position.empty());
}

TEST_CASE("scrub: the state survives being written down; garbage is no state", "[sim]") {
  const ScrubState state{.position = std::string("v\0 \xff", 4),
                         .unpaced = true,
                         .counts = {.versions = 1, .bytes = 2, .damaged = 3, .orphans = 4},
                         .repaired = 5,
                         .started_ms = 6,
                         .finished_ms = 7};
  const auto again = decode_scrub_state(encode_scrub_state(state));
  REQUIRE(again);
  CHECK(again->position == state.position);
  CHECK(again->unpaced);
  CHECK(again->counts.orphans == 4);
  CHECK(again->finished_ms == 7);
  for (const auto* garbage : {"", "x", "zerodb-scrub-1 1 2", "zerodb-scrub-1 0 0 0 0 0 0 0 0 xyz"})
    CHECK_FALSE(decode_scrub_state(garbage));
}
