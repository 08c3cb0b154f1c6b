#include "node/replica.hpp"

#include <catch2/catch.hpp>

#include "tests/node/replica_scene.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using sim::seal_object;
using test::check_fails;
using test::committed;
using test::ReplicaScene;

TEST_CASE("replica: an inline object is stored and handed out with its bytes", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = 5'000, .version = scene.now()});
  CHECK(committed(scene.put_inline(object)).stored);
  const auto answer = scene.get(object.id());
  REQUIRE(answer);
  CHECK(std::get<peer::GetManifest::Reply>(answer->message).manifest == object.manifest.wire());
  CHECK(to_bytes(answer->payload.view()) == object.chunks[0]);
}

TEST_CASE("replica: the same put again is stored again", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.version = scene.now()});
  CHECK(committed(scene.put_inline(object)).stored);
  CHECK(committed(scene.put_inline(object)).stored);
  CHECK(scene.store().stats().objects == 1);
}

TEST_CASE("replica: what a put brought is known when a broadcast tells of it", "[node]") {
  ReplicaScene scene;
  const auto small = seal_object(scene.owner, {.name = "small", .version = scene.now()});
  const auto large =
      seal_object(scene.owner, {.name = "large", .size = 3 * mib, .version = scene.now()});
  CHECK_FALSE(scene.replica().has_just_taken(small.manifest.wire()));
  CHECK(committed(scene.put_inline(small)).stored);
  CHECK(scene.replica().has_just_taken(small.manifest.wire()));

  REQUIRE(scene.open(large));
  scene.send_all(large);
  CHECK_FALSE(scene.replica().has_just_taken(large.manifest.wire()));
  CHECK(committed(scene.commit(large.manifest)).stored);
  CHECK(scene.replica().has_just_taken(large.manifest.wire()));

  auto altered = small.manifest.wire();
  altered.back() ^= 1;
  CHECK_FALSE(scene.replica().has_just_taken(altered));
}

TEST_CASE("replica: a version that was refused is news yet", "[node]") {
  ReplicaScene scene;
  const auto early = seal_object(scene.owner, {.name = "a", .version = scene.now(-1000)});
  const auto late = seal_object(scene.owner, {.name = "a", .version = scene.now()});
  CHECK(committed(scene.put_inline(late)).stored);
  CHECK_FALSE(committed(scene.put_inline(early)).stored);
  CHECK_FALSE(scene.replica().has_just_taken(early.manifest.wire()));
}

TEST_CASE("replica: an earlier version is refused and told which stands", "[node]") {
  ReplicaScene scene;
  const auto later = seal_object(scene.owner, {.version = scene.now()});
  const auto earlier = seal_object(scene.owner, {.version = scene.now(-1)});
  CHECK(committed(scene.put_inline(later)).stored);
  const auto outcome = committed(scene.put_inline(earlier));
  CHECK_FALSE(outcome.stored);
  CHECK_FALSE(outcome.blob_missing);
  CHECK(outcome.standing == later.manifest.wire());
}

TEST_CASE("replica: a tombstone hides the object and stays", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.name = "x", .version = scene.now()});
  CHECK(committed(scene.put_inline(object)).stored);
  const auto tombstone = sim::sign_tombstone(scene.owner, "x", scene.now(1));
  CHECK(committed(scene.put_inline(tombstone.wire(), {})).stored);
  const auto answer = scene.get(object.id());
  REQUIRE(answer);
  CHECK(std::get<peer::GetManifest::Reply>(answer->message).manifest == tombstone.wire());
  CHECK(answer->payload.empty());
}

TEST_CASE("replica: what put_inline refuses", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = 1'000, .version = scene.now()});
  auto wire = object.manifest.wire();
  auto sealed = object.chunks[0];

  SECTION("garbage for a manifest") {
    check_fails(scene.put_inline({0xc1, 0xff, 0x00}, sealed), Errc::invalid);
  }
  SECTION("no manifest at all") {
    check_fails(scene.put_inline({}, sealed), Errc::invalid);
  }
  SECTION("a wrong signature") {
    wire.back() ^= 1;
    check_fails(scene.put_inline(wire, sealed), Errc::corrupt);
  }
  SECTION("a manifest changed after it was signed") {
    wire[wire.size() / 2] ^= 1;
    CHECK_FALSE(scene.put_inline(wire, sealed));
  }
  SECTION("a version of the future, and whose clock is off by how much") {
    const auto future = sim::move_version(scene.owner, object, scene.now(3'600'000));
    const auto answer = scene.put_inline(future);
    check_fails(answer, Errc::invalid);
    CHECK(answer.error().what.find("clock") != std::string::npos);
    CHECK(answer.error().what.find("3600 s") != std::string::npos);
  }
  SECTION("a payload of another size") {
    sealed.push_back(0);
    check_fails(scene.put_inline(wire, sealed), Errc::invalid);
  }
  SECTION("a payload that is not what was signed") {
    sealed[17] ^= 1;
    check_fails(scene.put_inline(wire, sealed), Errc::corrupt);
  }
  SECTION("an object too large to be inline") {
    const auto large = seal_object(scene.owner, {.size = 65'537, .version = scene.now()});
    check_fails(scene.put_inline(large), Errc::invalid);
  }
  SECTION("a tombstone with bytes") {
    const auto tombstone = sim::sign_tombstone(scene.owner, "x", scene.now());
    check_fails(scene.put_inline(tombstone.wire(), sealed), Errc::invalid);
  }
  CHECK(scene.store().stats().objects == 0);
  CHECK(scene.store().stats().tombstones == 0);
}

TEST_CASE("replica: a version a little ahead of this clock is taken", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.version = scene.now(30'000)});
  CHECK(committed(scene.put_inline(object)).stored);
}

TEST_CASE("replica: a full disk is said so", "[node]") {
  ReplicaScene scene;
  scene.store().fail_writes(Error{Errc::full, "no space left"});
  const auto object = seal_object(scene.owner, {.version = scene.now()});
  check_fails(scene.put_inline(object), Errc::full);
  check_fails(scene.open(object), Errc::full);
  scene.store().fail_writes({});
  CHECK(scene.open(object));  // the failed transfer left nothing behind
}
