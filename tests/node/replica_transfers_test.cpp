#include "node/replica.hpp"

#include <catch2/catch.hpp>

#include "tests/node/replica_scene.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using sim::seal_object;
using test::alice_node;
using test::check_fails;
using test::committed;
using test::id_of;
using test::mallory_node;
using test::ReplicaScene;

TEST_CASE("replica: a transfer of several chunks, in any order and some twice", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = 2 * mib + 17, .version = scene.now()});
  const auto opened = scene.open(object);
  REQUIRE(opened);
  CHECK(std::get<peer::Credit>(opened->message).bytes == ReplicaOptions{}.transfer_credit_bytes);
  for (const std::size_t index : {2U, 0U, 0U, 1U}) {
    const auto answer = scene.send(index, object.chunks[index]);
    REQUIRE(answer);
    CHECK(std::get<peer::Credit>(answer->message).bytes >= sealed_chunk_bytes_max);
  }
  CHECK(committed(scene.commit(object.manifest)).stored);

  for (std::size_t i = 0; i < object.chunks.size(); ++i) {
    const auto chunk =
        scene.mesh.run(scene.replica().get_chunk(alice_node, {.owner = object.id().owner,
                                                              .hashed_key = object.id().hashed_key,
                                                              .blob_id = object.manifest->blob_id,
                                                              .index = i}));
    REQUIRE(chunk);
    CHECK(to_bytes(chunk->payload.view()) == object.chunks[i]);
  }
  CHECK(scene.store().stats().uploads == 0);
}

TEST_CASE("replica: opening a transfer again finds it with its chunks", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = 2 * mib, .version = scene.now()});
  REQUIRE(scene.open(object));
  REQUIRE(scene.send(0, object.chunks[0]));
  REQUIRE(scene.open(object));
  REQUIRE(scene.send(1, object.chunks[1]));
  CHECK(committed(scene.commit(object.manifest)).stored);
}

TEST_CASE("replica: a superseded transfer commits under a later version", "[node]") {
  ReplicaScene scene;
  const auto standing = seal_object(scene.owner, {.version = scene.now()});
  CHECK(committed(scene.put_inline(standing)).stored);
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now(-5)});
  REQUIRE(scene.open(object));
  scene.send_all(object);
  CHECK(committed(scene.commit(object.manifest)).standing == standing.manifest.wire());
  const auto moved = sim::move_version(scene.owner, object, scene.now(5));
  CHECK(committed(scene.commit(moved.manifest)).stored);
}

TEST_CASE("replica: a commit whose answer was lost can be repeated", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now()});
  REQUIRE(scene.open(object));
  scene.send_all(object);
  CHECK(committed(scene.commit(object.manifest)).stored);
  CHECK(committed(scene.commit(object.manifest)).stored);
  SECTION("also under a later version") {
    const auto moved = sim::move_version(scene.owner, object, scene.now(5));
    CHECK(committed(scene.commit(moved.manifest)).stored);
    const auto latest = scene.store().latest(object.id());
    REQUIRE(latest);
    CHECK((*latest)->hash() == moved.manifest.hash());
  }
  SECTION("also after a restart") {
    scene.mesh[0].restart();
    CHECK(committed(scene.commit(object.manifest)).stored);
  }
}

TEST_CASE("replica: what a transfer refuses", "[node]") {
  ReplicaScene scene;
  const auto object =
      seal_object(scene.owner, {.name = "x", .size = 2 * mib, .version = scene.now()});
  REQUIRE(scene.open(object));

  SECTION("another sender's hand on it") {
    check_fails(scene.open(object, mallory_node), Errc::denied);
    check_fails(scene.send(0, object.chunks[0], mallory_node), Errc::denied);
    check_fails(scene.commit(object.manifest, mallory_node), Errc::denied);
    check_fails(scene.mesh.run(scene.replica().put_abort(mallory_node, {scene.transfer})),
                Errc::denied);
    CHECK(scene.store().stats().uploads == 1);
  }
  SECTION("being opened for another blob") {
    const auto other = seal_object(scene.owner, {.size = 2 * mib, .version = scene.now()});
    check_fails(scene.open(other), Errc::invalid);
  }
  SECTION("chunk sizes that cannot be") {
    scene.transfer = id_of<TransferId>(8);
    auto request = scene.open_request(object);
    request.chunk_bytes = chunk_bytes_max - 1;
    check_fails(scene.mesh.run(scene.replica().put_open(alice_node, request)), Errc::invalid);
    request.chunk_bytes = chunk_bytes_max + 1;
    check_fails(scene.mesh.run(scene.replica().put_open(alice_node, request)), Errc::invalid);
  }
  SECTION("a chunk too large") {
    check_fails(scene.send(0, Bytes(sealed_chunk_bytes_max + 1)), Errc::invalid);
  }
  SECTION("a chunk too small to be sealed") {
    check_fails(scene.send(0, Bytes(chunk_overhead_bytes - 1)), Errc::invalid);
  }
  SECTION("an absurd index") {
    check_fails(scene.send(~std::uint64_t{0}, object.chunks[0]), Errc::invalid);
  }
  SECTION("a commit with a chunk missing, which may still come") {
    REQUIRE(scene.send(1, object.chunks[1]));
    check_fails(scene.commit(object.manifest), Errc::corrupt);
    REQUIRE(scene.send(0, object.chunks[0]));
    CHECK(committed(scene.commit(object.manifest)).stored);
  }
  SECTION("a chunk that was changed on its way") {
    auto changed = object.chunks[0];
    changed[5] ^= 1;
    REQUIRE(scene.send(0, changed));
    REQUIRE(scene.send(1, object.chunks[1]));
    check_fails(scene.commit(object.manifest), Errc::corrupt);
  }
  SECTION("another object's manifest") {
    scene.send_all(object);
    const auto other =
        seal_object(scene.owner, {.name = "y", .size = 2 * mib, .version = scene.now()});
    check_fails(scene.commit(other.manifest), Errc::invalid);
    check_fails(scene.commit(sim::sign_tombstone(scene.owner, "x", scene.now())), Errc::invalid);
  }
  SECTION("a manifest of the future") {
    scene.send_all(object);
    const auto future = sim::move_version(scene.owner, object, scene.now(120'000));
    check_fails(scene.commit(future.manifest), Errc::invalid);
  }
  SECTION("garbage for a manifest") {
    const peer::PutCommit garbage{.transfer = scene.transfer, .manifest = {1, 2, 3}};
    check_fails(scene.mesh.run(scene.replica().put_commit(alice_node, garbage)), Errc::invalid);
  }
}

TEST_CASE("replica: an unknown transfer takes no chunk and misses its blob", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now()});
  check_fails(scene.send(0, object.chunks[0]), Errc::not_found);
  CHECK(committed(scene.commit(object.manifest)).blob_missing);
  check_fails(scene.commit(sim::sign_tombstone(scene.owner, "x", scene.now())), Errc::invalid);
  CHECK(scene.mesh.run(scene.replica().put_abort(alice_node, {scene.transfer})));
}

TEST_CASE("replica: an aborted transfer leaves nothing", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now()});
  REQUIRE(scene.open(object));
  scene.send_all(object);
  REQUIRE(scene.mesh.run(scene.replica().put_abort(alice_node, {scene.transfer})));
  CHECK(scene.store().stats().uploads == 0);
  CHECK(committed(scene.commit(object.manifest)).blob_missing);
}

TEST_CASE("replica: bytes beyond the credit are refused and do no harm", "[node]") {
  ReplicaScene scene({.transfer_credit_bytes = 2 * sealed_chunk_bytes_max});
  const auto object = seal_object(scene.owner, {.size = 3 * mib, .version = scene.now()});
  REQUIRE(scene.open(object));
  unsigned taken = 0;
  unsigned refused = 0;
  for (std::size_t i = 0; i < 3; ++i) {  // all at once
    asio::co_spawn(scene.mesh.world().io(),
                   scene.replica().put_chunk(alice_node, {.transfer = scene.transfer, .index = i},
                                             Payload::copy_of(object.chunks[i])),
                   [&](std::exception_ptr, const Result<PeerAnswer>& answer) {
                     ++(answer ? taken : refused);
                     if (!answer) CHECK(answer.error().code == Errc::busy);
                   });
  }
  scene.mesh.world().run_until([&] { return taken + refused == 3; }, Milliseconds(1'000));
  CHECK(taken == 2);
  CHECK(refused == 1);
  REQUIRE(scene.send(2, object.chunks[2]));
  CHECK(committed(scene.commit(object.manifest)).stored);
}

TEST_CASE("replica: no commit while chunks are being written, no chunk while committing",
          "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now()});
  REQUIRE(scene.open(object));
  bool written = false;
  asio::co_spawn(scene.mesh.world().io(),
                 scene.replica().put_chunk(alice_node, {.transfer = scene.transfer, .index = 0},
                                           Payload::copy_of(object.chunks[0])),
                 [&](std::exception_ptr, const Result<PeerAnswer>&) { written = true; });
  check_fails(scene.commit(object.manifest), Errc::busy);
  REQUIRE(scene.mesh.world().run_until([&] { return written; }, Milliseconds(1'000)));
  CHECK(committed(scene.commit(object.manifest)).stored);
}

TEST_CASE("replica: too many transfers are refused until some end", "[node]") {
  ReplicaScene scene({.transfers_max = 3, .transfers_per_sender_max = 2});
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now()});
  const auto open_as = [&](std::uint8_t id, const NodeId& sender) {
    scene.transfer = id_of<TransferId>(id);
    return scene.open(object, sender);
  };
  REQUIRE(open_as(1, alice_node));
  REQUIRE(open_as(2, alice_node));
  check_fails(open_as(3, alice_node), Errc::busy);
  REQUIRE(open_as(3, mallory_node));
  check_fails(open_as(4, mallory_node), Errc::busy);
  REQUIRE(scene.mesh.run(scene.replica().put_abort(mallory_node, {id_of<TransferId>(3)})));
  REQUIRE(open_as(4, mallory_node));
}

TEST_CASE("replica: a silent transfer is dropped, a busy one is not", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now()});
  REQUIRE(scene.open(object));
  scene.mesh.world().run_for(std::chrono::seconds(100));
  REQUIRE(scene.send(0, object.chunks[0]));
  scene.mesh.world().run_for(std::chrono::seconds(100));
  scene.replica().drop_idle_transfers();
  scene.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(scene.store().stats().uploads == 1);
  scene.mesh.world().run_for(std::chrono::seconds(100));
  scene.replica().drop_idle_transfers();
  scene.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(scene.store().stats().uploads == 0);
}

TEST_CASE("replica: many transfers share the memory for chunks", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now()});
  std::uint64_t credit = 0;
  for (std::uint8_t i = 1; i <= 32; ++i) {
    scene.transfer = id_of<TransferId>(i);
    const auto answer = scene.open(object);
    REQUIRE(answer);
    credit = std::get<peer::Credit>(answer->message).bytes;
  }
  CHECK(credit == 2 * mib);
}
