#include "node/own_writes.hpp"

#include <catch2/catch.hpp>

#include "tests/sim/seeded_world.hpp"

using namespace zerodb;

namespace {

ObjectId object(std::uint8_t number) {
  ObjectId id;
  id.hashed_key.mutable_view()[0] = number;
  return id;
}

struct OwnWritesScene {
  sim::SeededWorld world;
  sim::SimRuntime runtime{world};
  OwnWrites writes{runtime, 2};
};

}  // namespace

TEST_CASE("own writes: the latest version of an object counts, in whatever order", "[gateway]") {
  OwnWritesScene scene;
  CHECK(scene.writes.latest(object(1)) == Version{});
  scene.writes.note(object(1), Version::at(2'000));
  scene.writes.note(object(1), Version::at(1'000));
  CHECK(scene.writes.latest(object(1)) == Version::at(2'000));
}

TEST_CASE("own writes: the oldest is forgotten, not the object written again", "[gateway]") {
  OwnWritesScene scene;
  scene.writes.note(object(1), Version::at(1'000));
  scene.writes.note(object(2), Version::at(1'000));
  scene.writes.note(object(1), Version::at(2'000));
  CHECK(scene.writes.latest(object(1)) == Version::at(2'000));
  scene.writes.note(object(3), Version::at(1'000));
  CHECK(scene.writes.latest(object(2)) == Version{});
  CHECK(scene.writes.latest(object(1)) == Version::at(2'000));
}

TEST_CASE("own writes: after a while they count no more", "[gateway]") {
  OwnWritesScene scene;
  scene.writes.note(object(1), Version::at(1'000));
  scene.world.run_for(own_writes_keep - Milliseconds(1));
  CHECK(scene.writes.latest(object(1)) == Version::at(1'000));
  scene.world.run_for(Milliseconds(1));
  CHECK(scene.writes.latest(object(1)) == Version{});
  scene.writes.note(object(1), Version::at(3'000));
  CHECK(scene.writes.latest(object(1)) == Version::at(3'000));
}
