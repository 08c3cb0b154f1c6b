#include "node/replica.hpp"

#include <catch2/catch.hpp>

#include "node/entry_codec.hpp"
#include "tests/sim/sealed_object.hpp"
#include "tests/sim/sim_mesh.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using sim::ObjectSpec;
using sim::seal_object;
using sim::SealedObject;

namespace {

template <class Id>
Id id_of(std::uint8_t byte) {
  Id id;
  id.mutable_view()[0] = byte;
  return id;
}

const auto alice_node = id_of<NodeId>(1);
const auto mallory_node = id_of<NodeId>(2);

/// One replica and its store; requests arrive as if from other members.
struct ReplicaScene {
  explicit ReplicaScene(ReplicaOptions options = {})
      : mesh(1, {.network = {}, .node = {.replica = options, .reconcile = {}}, .zones = {}}) {}

  Replica& replica() { return *mesh[0].replica; }
  sim::MemoryStore& store() { return mesh[0].store; }
  Version now(std::int64_t plus_ms = 0) {
    return Version::at(
        static_cast<std::uint64_t>(static_cast<std::int64_t>(mesh[0].runtime.now_ms()) + plus_ms));
  }

  Result<PeerAnswer> put_inline(const Bytes& manifest, Bytes payload) {
    return mesh.run(replica().put_inline(alice_node, {.manifest = manifest},
                                         Payload::take(std::move(payload))));
  }
  Result<PeerAnswer> put_inline(const SealedObject& object) {
    return put_inline(object.manifest.wire(), object.chunks.at(0));
  }
  peer::PutOpen open_request(const SealedObject& object) {
    return {.transfer = transfer,
            .owner = object.id().owner,
            .hashed_key = object.id().hashed_key,
            .blob_id = object.manifest->blob_id,
            .chunk_bytes = object.manifest->chunk_bytes};
  }
  Result<PeerAnswer> open(const SealedObject& object, const NodeId& from = alice_node) {
    return mesh.run(replica().put_open(from, open_request(object)));
  }
  Result<PeerAnswer> send(std::uint64_t index, Bytes sealed, const NodeId& from = alice_node) {
    return mesh.run(replica().put_chunk(from, {.transfer = transfer, .index = index},
                                        Payload::take(std::move(sealed))));
  }
  void send_all(const SealedObject& object) {
    for (std::size_t i = 0; i < object.chunks.size(); ++i)
      REQUIRE(send(i, object.chunks[i]));
  }
  Result<PeerAnswer> commit(const SignedManifest& manifest, const NodeId& from = alice_node) {
    return mesh.run(
        replica().put_commit(from, {.transfer = transfer, .manifest = manifest.wire()}));
  }
  Result<PeerAnswer> get(const ObjectId& object) {
    return mesh.run(replica().get_manifest(
        alice_node, {.owner = object.owner, .hashed_key = object.hashed_key}));
  }

  sim::SimMesh mesh;
  OwnerKeys owner = OwnerKeys::generate();
  TransferId transfer = id_of<TransferId>(7);
};

peer::Committed committed(const Result<PeerAnswer>& answer) {
  REQUIRE(answer);
  return std::get<peer::Committed>(answer->message);
}

void check_fails(const Result<PeerAnswer>& answer, Errc code) {
  REQUIRE_FALSE(answer);
  CHECK(to_string(answer.error().code) == to_string(code));
  CHECK_FALSE(answer.error().what.empty());
}

}  // namespace

// --------------------------------------------------------------------------------------- inline

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

// ------------------------------------------------------------------------------------- transfers

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
    request.chunk_bytes = 0;
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

// ----------------------------------------------------------------------------------------- reads

TEST_CASE("replica: asking for what is not there", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now()});
  const auto answer = scene.get(object.id());
  REQUIRE(answer);
  const auto& reply = std::get<peer::GetManifest::Reply>(answer->message);
  CHECK_FALSE(reply.manifest);
  CHECK(reply.settled);

  peer::GetChunk chunk{.owner = object.id().owner,
                       .hashed_key = object.id().hashed_key,
                       .blob_id = object.manifest->blob_id,
                       .index = 0};
  check_fails(scene.mesh.run(scene.replica().get_chunk(alice_node, chunk)), Errc::not_found);
  REQUIRE(scene.open(object));
  scene.send_all(object);
  CHECK(committed(scene.commit(object.manifest)).stored);
  CHECK(scene.mesh.run(scene.replica().get_chunk(alice_node, chunk)));
  chunk.index = 1;
  check_fails(scene.mesh.run(scene.replica().get_chunk(alice_node, chunk)), Errc::not_found);
  chunk.index = 0;
  chunk.blob_id = id_of<BlobId>(9);
  check_fails(scene.mesh.run(scene.replica().get_chunk(alice_node, chunk)), Errc::not_found);
}

TEST_CASE("replica: leaves come in runs, clipped to the end", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = 3 * mib, .version = scene.now()});
  REQUIRE(scene.open(object));
  scene.send_all(object);
  REQUIRE(scene.commit(object.manifest));
  peer::GetLeaves request{.owner = object.id().owner,
                          .hashed_key = object.id().hashed_key,
                          .blob_id = object.manifest->blob_id,
                          .first = 1,
                          .count = 4'000'000'000};
  const auto answer = scene.mesh.run(scene.replica().get_leaves(alice_node, request));
  REQUIRE(answer);
  REQUIRE(answer->payload.size() == 2 * Leaf::size);
  CHECK(Leaf::from(answer->payload.view().first(Leaf::size)) == leaf_of(object.chunks[1]));
  request.first = ~std::uint64_t{0};
  const auto beyond = scene.mesh.run(scene.replica().get_leaves(alice_node, request));
  CHECK((!beyond || beyond->payload.empty()));
  request.count = 0;
  check_fails(scene.mesh.run(scene.replica().get_leaves(alice_node, request)), Errc::invalid);
}

TEST_CASE("replica: one digest per partition, which an object changes", "[node]") {
  ReplicaScene scene;
  const auto ask = [&] {
    const auto answer = scene.mesh.run(scene.replica().get_digests(alice_node, {}));
    REQUIRE(answer);
    const auto digests = decode_digests(answer->payload.view());
    REQUIRE(digests);
    return *digests;
  };
  const auto before = ask();
  const auto object = seal_object(scene.owner, {.version = scene.now()});
  REQUIRE(scene.put_inline(object));
  const auto after = ask();
  for (std::size_t i = 0; i < partition_count; ++i) {
    CHECK((before[i] != after[i]) == (i == partition_of(object.id().hashed_key)));
  }
}

TEST_CASE("replica: entries are paged and go on where they stopped", "[node]") {
  ReplicaScene scene;
  // More than a page of them, straight into the store.
  constexpr std::size_t count = 11'000;
  static_assert(count * entry_bytes > entries_payload_bytes_max);
  std::set<ObjectId> stored;
  for (std::size_t i = 0; i < count; ++i) {
    const auto tombstone =
        sim::sign_tombstone(scene.owner, "object " + std::to_string(i), scene.now());
    REQUIRE(scene.store().commit_inline(tombstone, {}));
    stored.insert(tombstone->object);
  }
  peer::GetEntries request;
  for (std::uint32_t i = 0; i < partition_count; ++i)
    request.partitions.push_back(i);
  std::set<ObjectId> listed;
  unsigned pages = 0;
  while (!request.partitions.empty()) {
    const auto answer = scene.mesh.run(scene.replica().get_entries(alice_node, request, {}));
    REQUIRE(answer);
    REQUIRE(++pages <= 20);
    const auto entries = decode_entries(answer->payload.view());
    REQUIRE(entries);
    for (const auto& entry : *entries)
      CHECK(listed.insert(entry.object).second);
    const auto& reply = std::get<peer::GetEntries::Reply>(answer->message);
    const auto next = reply.next_partition.value_or(partition_count);
    std::erase_if(request.partitions, [&](std::uint32_t partition) { return partition < next; });
    request.after = reply.next_after;
  }
  CHECK(pages > 1);
  CHECK(listed == stored);
}

TEST_CASE("replica: entries of one owner only", "[node]") {
  ReplicaScene scene;
  const auto mine = seal_object(scene.owner, {.version = scene.now()});
  REQUIRE(scene.put_inline(mine));
  // Of the same partition.
  const auto partition = partition_of(mine.id().hashed_key);
  auto other = OwnerKeys::generate();
  while (partition_of(other.hash_name("a name")) != partition)
    other = OwnerKeys::generate();
  REQUIRE(scene.put_inline(seal_object(other, {.version = scene.now()})));
  const peer::GetEntries request{
      .partitions = {partition_of(mine.id().hashed_key)}, .owner = scene.owner.id(), .after = {}};
  const auto answer = scene.mesh.run(scene.replica().get_entries(alice_node, request, {}));
  REQUIRE(answer);
  const auto entries = decode_entries(answer->payload.view());
  REQUIRE(entries);
  REQUIRE(entries->size() == 1);
  CHECK(entries->front() == Entry{mine.id(), mine.manifest->version, mine.manifest.hash()});
}

TEST_CASE("replica: listings that make no sense are refused", "[node]") {
  ReplicaScene scene;
  const auto ask = [&](peer::GetEntries request) {
    return scene.mesh.run(scene.replica().get_entries(alice_node, std::move(request), {}));
  };
  check_fails(ask({.partitions = {}}), Errc::invalid);
  check_fails(ask({.partitions = {0, partition_count}}), Errc::invalid);
  check_fails(ask({.partitions = {70'000}}), Errc::invalid);
  check_fails(ask({.partitions = {2, 1}}), Errc::invalid);
  check_fails(ask({.partitions = {1, 1}}), Errc::invalid);
  check_fails(ask({.partitions = {1}, .owner = {}, .after = Bytes{1, 2}}), Errc::invalid);
}
