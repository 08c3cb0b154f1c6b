#include "node/replica.hpp"

#include <catch2/catch.hpp>

#include "node/digest_groups.hpp"
#include "node/entry_codec.hpp"
#include "tests/node/replica_scene.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using sim::seal_object;
using test::alice_node;
using test::check_fails;
using test::committed;
using test::id_of;
using test::ReplicaScene;

TEST_CASE("replica: asking for what is not there", "[node]") {
  ReplicaScene scene;
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now()});
  const auto answer = scene.get(object.id());
  REQUIRE(answer);
  const auto& reply = std::get<peer::GetManifest::Reply>(answer->message);
  CHECK_FALSE(reply.manifest);
  CHECK(reply.whole);

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

TEST_CASE("replica: damage is what is gone of what should be here, not what nobody can have",
          "[node]") {
  std::size_t told = 0;
  ReplicaScene scene(ReplicaOptions{.on_damage = [&](const ChunkBinding&) { ++told; }});
  const auto object = seal_object(scene.owner, {.size = mib, .version = scene.now()});
  REQUIRE(scene.open(object));
  scene.send_all(object);
  REQUIRE(scene.commit(object.manifest));
  peer::GetChunk chunk{.owner = object.id().owner,
                       .hashed_key = object.id().hashed_key,
                       .blob_id = object.manifest->blob_id,
                       .index = object.manifest->chunk_count};
  const auto get = [&] { return scene.mesh.run(scene.replica().get_chunk(alice_node, chunk)); };
  check_fails(get(), Errc::not_found);
  chunk.index = ~std::uint64_t{0};
  check_fails(get(), Errc::not_found);
  chunk.blob_id = id_of<BlobId>(9);
  check_fails(get(), Errc::not_found);
  CHECK(told == 0);

  scene.store().lose(object.id());
  chunk.blob_id = object.manifest->blob_id;
  check_fails(get(), Errc::not_found);
  CHECK(told == 0);
  chunk.index = 0;
  check_fails(get(), Errc::corrupt);
  CHECK(told == 1);
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
    const auto answer = scene.mesh.run(scene.replica().get_digests(alice_node, {}, {}));
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

TEST_CASE("replica: digests that the asker knows are left out", "[node]") {
  ReplicaScene scene;
  const auto ask = [&](const Bytes& sums, bool with_sizes = false) {
    return scene.mesh.run(scene.replica().get_digests(alice_node, {.with_sizes = with_sizes},
                                                      Payload::copy_of(sums)));
  };
  const auto before = scene.store().digests();
  const auto sums = sum_groups(before);
  REQUIRE(scene.put_inline(seal_object(scene.owner, {.version = scene.now()})));
  const auto answer = ask(sums);
  REQUIRE(answer);
  CHECK(answer->payload.size() == 8 + 1024);
  CHECK(apply_differing(before, answer->payload.view()) == scene.store().digests());
  check_fails(ask(Bytes(group_sums_bytes - 1)), Errc::invalid);
  check_fails(ask(Bytes(group_sums_bytes + 1)), Errc::invalid);
  check_fails(ask(sums, true), Errc::invalid);
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
