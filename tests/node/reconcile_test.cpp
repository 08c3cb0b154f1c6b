#include "node/reconcile.hpp"

#include <catch2/catch.hpp>

#include "tests/node/reconcile_scene.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using sim::keep_in;
using sim::seal_object;
using sim::SealedObject;
using test::ReconcileScene;

// ----------------------------------------------------------------------------------------- rounds

TEST_CASE("reconcile: a node that was away gets what was stored meanwhile", "[sim]") {
  ReconcileScene scene(3);
  scene.isolate(2);
  const auto small = scene.seal("small");
  const auto large = scene.seal("large", 5 * mib);
  for (const std::size_t node : {0U, 1U}) {
    keep_in(scene.mesh[node].store, small);
    keep_in(scene.mesh[node].store, large);
  }
  scene.bring_back(2);
  CHECK(scene.has(2, small));
  CHECK(scene.has(2, large));
  CHECK(scene.mesh[2].store.digests() == scene.mesh[0].store.digests());
}

TEST_CASE("reconcile: a node that was away learns of a delete", "[sim]") {
  ReconcileScene scene(3);
  const auto object = scene.seal("doomed");
  for (std::size_t node = 0; node < 3; ++node)
    keep_in(scene.mesh[node].store, object);
  scene.isolate(2);
  const auto tombstone = sim::sign_tombstone(scene.owner, "doomed", scene.now());
  for (const std::size_t node : {0U, 1U}) {
    REQUIRE(scene.mesh[node].store.commit_inline(tombstone, {}));
  }
  scene.bring_back(2);
  CHECK(scene.has(2, tombstone));
  CHECK(scene.has(0, tombstone));
}

TEST_CASE("reconcile: an older tombstone does not revive or hide an object", "[sim]") {
  ReconcileScene scene(3);
  scene.isolate(2);
  const auto tombstone = sim::sign_tombstone(scene.owner, "phoenix", scene.now());
  REQUIRE(scene.mesh[2].store.commit_inline(tombstone, {}));
  const auto reborn = seal_object(scene.owner, {.name = "phoenix", .version = scene.now(1)});
  for (const std::size_t node : {0U, 1U})
    keep_in(scene.mesh[node].store, reborn);
  scene.bring_back(2);
  for (std::size_t node = 0; node < 3; ++node)
    CHECK(scene.has(node, reborn));
}

TEST_CASE("reconcile: an object deleted meanwhile is not revived by who was away", "[sim]") {
  ReconcileScene scene(3);
  const auto object = scene.seal("zombie");
  keep_in(scene.mesh[2].store, object);
  scene.isolate(2);
  const auto tombstone = sim::sign_tombstone(scene.owner, "zombie", scene.now(1));
  for (const std::size_t node : {0U, 1U}) {
    REQUIRE(scene.mesh[node].store.commit_inline(tombstone, {}));
  }
  scene.bring_back(2);
  for (std::size_t node = 0; node < 3; ++node)
    CHECK(scene.has(node, tombstone));
}

TEST_CASE("reconcile: nodes that agree list nothing", "[sim]") {
  ReconcileScene scene(3);
  for (int i = 0; i < 20; ++i) {
    const auto object = scene.seal("object " + std::to_string(i));
    for (std::size_t node = 0; node < 3; ++node)
      keep_in(scene.mesh[node].store, object);
  }
  const auto listed = scene.mesh.network().sent("get_entries");
  const auto compared = scene.mesh.network().sent("get_digests");
  scene.isolate(2);
  scene.bring_back(2);
  CHECK(scene.mesh.network().sent("get_digests") >= compared + 4);  // both ways with each
  CHECK(scene.mesh.network().sent("get_entries") == listed);
}

TEST_CASE("reconcile: only differing partitions are listed, only news is fetched", "[sim]") {
  ReconcileScene scene(3);
  for (int i = 0; i < 50; ++i) {
    const auto object = scene.seal("object " + std::to_string(i));
    for (std::size_t node = 0; node < 3; ++node)
      keep_in(scene.mesh[node].store, object);
  }
  scene.isolate(2);
  const auto missed = scene.seal("missed");
  for (const std::size_t node : {0U, 1U})
    keep_in(scene.mesh[node].store, missed);
  const auto fetched = scene.mesh.network().sent("get_manifest");
  std::size_t partitions = 0;
  scene.mesh.network().on_answer = [&](const NodeId&, const peer::Request& request, auto&) {
    if (const auto* listing = std::get_if<peer::GetEntries>(&request)) {
      partitions = std::max(partitions, listing->partitions.size());
    }
  };
  scene.bring_back(2);
  CHECK(scene.has(2, missed));
  CHECK(partitions == 1);
  CHECK(scene.mesh.network().sent("get_manifest") <= fetched + 2);
}

TEST_CASE("reconcile: thousands of objects come over in pages", "[sim]") {
  ReconcileScene scene(2);
  scene.isolate(1);
  constexpr std::size_t count = 3'000;
  for (std::size_t i = 0; i < count; ++i) {
    const auto name = "object " + std::to_string(i);
    REQUIRE(
        scene.mesh[0].store.commit_inline(sim::sign_tombstone(scene.owner, name, scene.now()), {}));
  }
  scene.bring_back(1);
  CHECK(scene.mesh[1].store.stats().tombstones == count);
}

TEST_CASE("reconcile: what is not placed here is not pulled", "[sim]") {
  ReconcileScene scene(5);
  scene.isolate(4);
  std::vector<SealedObject> objects;
  for (int i = 0; i < 30; ++i) {
    objects.push_back(scene.seal("object " + std::to_string(i)));
    for (std::size_t node = 0; node < 4; ++node)
      keep_in(scene.mesh[node].store, objects.back());
  }
  scene.bring_back(4);
  std::size_t placed = 0;
  for (const auto& object : objects) {
    const bool here = scene.mesh[4].mesh.is_placed_here(partition_of(object.id().hashed_key));
    CHECK(scene.has(4, object) == here);
    placed += here ? 1 : 0;
  }
  CHECK(placed > 0);
  CHECK(placed < objects.size());
}

TEST_CASE("reconcile: lost messages delay a round, not more", "[sim]") {
  ReconcileScene scene(3);
  scene.isolate(2);
  std::vector<SealedObject> objects;
  for (int i = 0; i < 20; ++i) {
    objects.push_back(scene.seal("object " + std::to_string(i), i % 5 == 0 ? 2 * mib : 100));
    for (const std::size_t node : {0U, 1U})
      keep_in(scene.mesh[node].store, objects.back());
  }
  scene.mesh.network().options().drop_per_mille = 50;
  scene.bring_back(2);
  for (const auto& object : objects)
    CHECK(scene.has(2, object));
}

TEST_CASE("reconcile: a periodic round finds what a broadcast and a link did not bring", "[sim]") {
  ReconcileScene scene(3);
  const auto object = scene.seal("quiet");
  for (const std::size_t node : {0U, 1U})
    keep_in(scene.mesh[node].store, object);
  CHECK(
      scene.mesh.world().run_until([&] { return scene.has(2, object); }, std::chrono::minutes(11)));
}

TEST_CASE("reconcile: a node that lists nonsense harms nobody", "[sim]") {
  ReconcileScene scene(3);
  scene.isolate(2);
  const auto object = scene.seal("true");
  for (const std::size_t node : {0U, 1U})
    keep_in(scene.mesh[node].store, object);
  const auto liar = scene.mesh[0].id();
  const auto lie = GENERATE(0, 1, 2, 3);
  int told = 0;
  scene.mesh.network().on_answer = [&](const NodeId& node, const peer::Request& request,
                                       Result<PeerAnswer>& answer) {
    if (node != liar || !answer || !std::holds_alternative<peer::GetEntries>(request)) return;
    auto& reply = std::get<peer::GetEntries::Reply>(answer->message);
    const auto& asked = std::get<peer::GetEntries>(request);
    told += 1;
    if (lie == 0) answer->payload = Payload::take(Bytes(103));
    if (lie == 1) answer->payload = Payload::take(Bytes(104, 0xff));  // not asked for
    if (lie == 2) reply.next_partition = asked.partitions.front();    // for ever
    if (lie == 3) reply.next_partition = 70'000;
  };
  scene.bring_back(2);
  CHECK(scene.has(2, object));  // from node 1
  CHECK(told > 0);
}

TEST_CASE("reconcile: a forged manifest is not adopted from a round", "[sim]") {
  ReconcileScene scene(2);
  scene.isolate(1);
  const auto object = scene.seal("true");
  keep_in(scene.mesh[0].store, object);
  int forged = 0;
  scene.mesh.network().on_answer = [&](const NodeId&, const peer::Request& request,
                                       Result<PeerAnswer>& answer) {
    if (!std::holds_alternative<peer::GetManifest>(request)) return;
    std::get<peer::GetManifest::Reply>(answer->message).manifest->back() ^= 1;
    forged += 1;
  };
  scene.bring_back(1);
  CHECK(forged > 0);
  CHECK(scene.mesh[1].store.stats().objects == 0);
}

TEST_CASE("reconcile: rounds that fail at once end", "[sim]") {
  ReconcileScene scene(3);
  scene.isolate(2);
  scene.mesh[2].reconcile->on_link_up(scene.mesh[0].id());  // its link is down
  scene.mesh[2].reconcile->on_link_up(scene.mesh[1].id());
  CHECK(scene.mesh.run_until_quiet());
}

TEST_CASE("reconcile: fetches that fail at once end", "[sim]") {
  ReconcileScene scene(2);
  scene.isolate(1);
  for (int i = 0; i < 500; ++i)
    keep_in(scene.mesh[0].store, scene.seal(std::to_string(i)));
  scene.mesh.network().on_answer = [&](const NodeId&, const peer::Request& request, auto&) {
    if (std::holds_alternative<peer::GetEntries>(request)) scene.mesh.down(0);
  };
  scene.mesh.up(1);
  scene.mesh.world().run_for(std::chrono::minutes(2));
  CHECK(scene.mesh[1].reconcile->is_idle());
  scene.mesh.network().on_answer = {};
  scene.mesh.up(0);
  CHECK(scene.mesh.world().run_until([&] { return scene.mesh[1].store.stats().objects == 500; },
                                     std::chrono::minutes(1)));
}

// ------------------------------------------------------------------------------------------- news

TEST_CASE("reconcile: a broadcast brings an object to a placed node that missed it", "[sim]") {
  ReconcileScene scene(3);
  const auto object = scene.seal("fresh", GENERATE(1'000ULL, 4 * mib));
  for (const std::size_t node : {0U, 1U})
    keep_in(scene.mesh[node].store, object);
  scene.announce(0, object.manifest);
  CHECK(
      scene.mesh.world().run_until([&] { return scene.has(2, object); }, std::chrono::seconds(10)));
}

TEST_CASE("reconcile: a broadcast delete takes effect at once", "[sim]") {
  ReconcileScene scene(3);
  const auto object = scene.seal("doomed");
  for (std::size_t node = 0; node < 3; ++node)
    keep_in(scene.mesh[node].store, object);
  const auto tombstone = sim::sign_tombstone(scene.owner, "doomed", scene.now(1));
  for (const std::size_t node : {0U, 1U}) {
    REQUIRE(scene.mesh[node].store.commit_inline(tombstone, {}));
  }
  scene.announce(0, tombstone);
  CHECK(scene.mesh.world().run_until([&] { return scene.has(2, tombstone); },
                                     std::chrono::milliseconds(100)));
}

TEST_CASE("reconcile: news of what is here already moves no bytes", "[sim]") {
  ReconcileScene scene(3);
  const auto object = scene.seal("known");
  for (std::size_t node = 0; node < 3; ++node)
    keep_in(scene.mesh[node].store, object);
  scene.announce(0, object.manifest);
  REQUIRE(scene.mesh.run_until_quiet());
  CHECK(scene.mesh.network().sent("get_chunk") == 0);
}

TEST_CASE("reconcile: a replica that is still being sent an object does not fetch it", "[sim]") {
  ReconcileScene scene(3);
  const auto object = scene.seal("slow", 4 * mib);
  for (const std::size_t node : {0U, 1U})
    keep_in(scene.mesh[node].store, object);
  scene.announce(0, object.manifest);
  scene.mesh.world().run_for(std::chrono::seconds(2));
  keep_in(scene.mesh[2].store, object);  // the sender ends
  REQUIRE(scene.mesh.run_until_quiet());
  CHECK(scene.mesh.network().sent("get_chunk") == 0);
}

TEST_CASE("reconcile: forged, future and foreign news is ignored", "[sim]") {
  ReconcileScene scene(3);
  const auto object = scene.seal("claimed");
  for (const std::size_t node : {0U, 1U})
    keep_in(scene.mesh[node].store, object);
  SECTION("a stranger's signature") {
    auto wire = object.manifest.wire();
    wire.back() ^= 1;
    scene.mesh[0].links.publish(object.id(), broadcast::Store{wire});
  }
  SECTION("garbage") {
    scene.mesh[0].links.publish(object.id(), broadcast::Store{Bytes{0xc1, 0xff}});
  }
  SECTION("a version of the future") {
    const auto future = Version::at(scene.mesh[0].runtime.now_ms() + 3'600'000);
    scene.announce(0, sim::move_version(scene.owner, object, future).manifest);
  }
  REQUIRE(scene.mesh.run_until_quiet());
  CHECK(scene.mesh[2].store.stats().objects == 0);
}

TEST_CASE("reconcile: news is fetched again when the first try fails", "[sim]") {
  ReconcileScene scene(3);
  const auto object = scene.seal("stubborn");
  for (const std::size_t node : {0U, 1U})
    keep_in(scene.mesh[node].store, object);
  unsigned refused = 0;
  scene.mesh.network().on_answer = [&](const NodeId&, const peer::Request& request,
                                       Result<PeerAnswer>& answer) {
    if (!std::holds_alternative<peer::GetChunk>(request) || refused == 3) return;
    ++refused;
    answer = fail(Errc::busy, "not now");
  };
  scene.announce(0, object.manifest);
  REQUIRE(scene.mesh.run_until_quiet());
  CHECK(refused == 3);
  CHECK(scene.has(2, object));
}

TEST_CASE("reconcile: news without end brings no rounds without end", "[sim]") {
  ReconcileScene scene(3);
  const auto rounds = [&] { return scene.mesh.network().sent("get_digests"); };
  const auto before = rounds();
  std::vector<SealedObject> objects;
  for (int i = 0; i < 3'000; ++i) {
    objects.push_back(scene.seal(std::to_string(i), 100));
    keep_in(scene.mesh[0].store, objects.back());
    scene.announce(0, objects.back().manifest);
    scene.mesh.world().run_for(Milliseconds(1));
  }
  REQUIRE(scene.mesh.run_until_quiet());
  CHECK(rounds() <= before + 12);  // of two nodes
  for (const auto& object : objects)
    REQUIRE(scene.has(2, object));
}

TEST_CASE("reconcile: missed writes without end bring no rounds without end", "[sim]") {
  ReconcileScene scene(3);
  const auto before = scene.mesh.network().sent("get_digests");
  for (int second = 0; second < 60; ++second) {
    scene.mesh[0].mesh.note_missed_write(scene.mesh[1].id());
    scene.mesh.world().run_for(std::chrono::seconds(1));
  }
  const auto rounds = scene.mesh.network().sent("get_digests") - before;
  CHECK(rounds >= 4);      // of two nodes, each with both others
  CHECK(rounds <= 3 * 4);  // in a minute
  REQUIRE(scene.mesh.run_until_quiet());
}

TEST_CASE("reconcile: a link that comes up all the time brings no rounds without end", "[sim]") {
  ReconcileScene scene(2);
  scene.mesh.world().run_for(std::chrono::seconds(10));
  const auto before = scene.mesh.network().sent("get_digests");
  for (int tenth = 0; tenth < 300; ++tenth) {
    scene.mesh[0].reconcile->on_link_up(scene.mesh[1].id());
    scene.mesh.world().run_for(Milliseconds(100));
  }
  const auto rounds = scene.mesh.network().sent("get_digests") - before;
  CHECK(rounds >= 5);
  CHECK(rounds <= 7);
  REQUIRE(scene.mesh.run_until_quiet());
}

TEST_CASE("reconcile: the later of two versions told of in a row wins", "[sim]") {
  ReconcileScene scene(3);
  const auto first = scene.seal("twice");
  const auto second = seal_object(scene.owner, {.name = "twice", .version = scene.now(1)});
  for (const std::size_t node : {0U, 1U}) {
    keep_in(scene.mesh[node].store, first);
    keep_in(scene.mesh[node].store, second);
  }
  scene.announce(0, second.manifest);
  scene.announce(1, first.manifest);
  REQUIRE(scene.mesh.run_until_quiet());
  CHECK(scene.has(2, second));
}
