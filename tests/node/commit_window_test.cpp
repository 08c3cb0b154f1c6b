#include "node/commit_window.hpp"

#include <catch2/catch.hpp>

#include "store/hash.hpp"
#include "tests/sim/seeded_world.hpp"

using namespace zerodb;

namespace {

constexpr CommitWindowOptions options{.commits_max = 2, .patience = Milliseconds(1'000)};

struct WindowScene {
  /// In ms, until a write to `node` may begin.
  std::uint64_t waits(const NodeId& node) {
    const auto begin = world.now_ms();
    const auto write = [](CommitWindow& window, NodeId to) -> Task<bool> {
      std::vector<NodeId> nodes{to};
      co_await window.wait(std::move(nodes));
      co_return true;
    };
    REQUIRE(world.run(write(window, node)));
    return world.now_ms() - begin;
  }
  void end_one_after(Milliseconds duration) {
    const auto end = [](WindowScene& scene, Milliseconds after) -> Task<void> {
      co_await scene.runtime.sleep(after);
      scene.under_way.pop_back();
    };
    spawn(runtime, end(*this, duration));
  }
  void begin_one(const NodeId& node) { under_way.push_back(window.begin(node)); }

  sim::SeededWorld world;
  sim::SimRuntime runtime{world};
  Stragglers slow{runtime};
  CommitWindow window{runtime, slow, options};
  std::vector<std::shared_ptr<const void>> under_way;
  NodeId node = random_id<NodeId>();
};

}  // namespace

TEST_CASE("commit window: writes wait for a node that has too many to take", "[gateway]") {
  WindowScene scene;
  scene.begin_one(scene.node);
  CHECK(scene.waits(scene.node) == 0);
  scene.begin_one(scene.node);
  CHECK(scene.waits(random_id<NodeId>()) == 0);
  scene.end_one_after(Milliseconds(300));
  CHECK(scene.waits(scene.node) == 300);
  CHECK_FALSE(scene.slow.has(scene.node));
}

TEST_CASE("commit window: a node that takes nothing is waited for only so long", "[gateway]") {
  WindowScene scene;
  scene.begin_one(scene.node);
  scene.begin_one(scene.node);
  const auto waited = scene.waits(scene.node);
  CHECK(waited >= 1'000);
  CHECK(waited < 1'100);
  CHECK(scene.slow.has(scene.node));
  CHECK(scene.waits(scene.node) == 0);
}

TEST_CASE("commit window: a node that is full most of the time is not waited for", "[gateway]") {
  WindowScene scene;
  scene.begin_one(scene.node);
  for (int i = 0; i < 5 && !scene.slow.has(scene.node); ++i) {
    scene.begin_one(scene.node);
    scene.end_one_after(Milliseconds(400));
    CHECK(scene.waits(scene.node) <= 400);
    scene.world.run_for(Milliseconds(400));  // not full meanwhile
  }
  CHECK(scene.slow.has(scene.node));
}

TEST_CASE("commit window: what was waited long ago is forgotten", "[gateway]") {
  WindowScene scene;
  scene.begin_one(scene.node);
  for (int i = 0; i < 5; ++i) {
    scene.begin_one(scene.node);
    scene.end_one_after(Milliseconds(400));
    CHECK(scene.waits(scene.node) == 400);
    scene.world.run_for(Milliseconds(3'000));
  }
  CHECK_FALSE(scene.slow.has(scene.node));
}

TEST_CASE("commit window: once it is closed, what ends is not counted", "[gateway]") {
  WindowScene scene;
  scene.begin_one(scene.node);
  scene.begin_one(scene.node);
  scene.world.run_for(2 * options.patience);
  scene.window.close();
  scene.under_way.clear();
  CHECK_FALSE(scene.slow.has(scene.node));
}
