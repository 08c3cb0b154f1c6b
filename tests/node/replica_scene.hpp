#pragma once
// One replica and its store, asked as if by other members.

#include <catch2/catch.hpp>

#include "node/replica.hpp"
#include "tests/sim/sealed_object.hpp"
#include "tests/sim/sim_mesh.hpp"

namespace zerodb::test {

template <class Id>
Id id_of(std::uint8_t byte) {
  Id id;
  id.mutable_view()[0] = byte;
  return id;
}

inline const auto alice_node = id_of<NodeId>(1);
inline const auto mallory_node = id_of<NodeId>(2);

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
  Result<PeerAnswer> put_inline(const sim::SealedObject& object) {
    return put_inline(object.manifest.wire(), object.chunks.at(0));
  }
  peer::PutOpen open_request(const sim::SealedObject& object) {
    return {.transfer = transfer,
            .owner = object.id().owner,
            .hashed_key = object.id().hashed_key,
            .blob_id = object.manifest->blob_id,
            .chunk_bytes = object.manifest->chunk_bytes};
  }
  Result<PeerAnswer> open(const sim::SealedObject& object, const NodeId& from = alice_node) {
    return mesh.run(replica().put_open(from, open_request(object)));
  }
  Result<PeerAnswer> send(std::uint64_t index, Bytes sealed, const NodeId& from = alice_node) {
    return mesh.run(replica().put_chunk(from, {.transfer = transfer, .index = index},
                                        Payload::take(std::move(sealed))));
  }
  void send_all(const sim::SealedObject& object) {
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

inline peer::Committed committed(const Result<PeerAnswer>& answer) {
  REQUIRE(answer);
  return std::get<peer::Committed>(answer->message);
}

inline void check_fails(const Result<PeerAnswer>& answer, Errc code) {
  REQUIRE_FALSE(answer);
  CHECK(to_string(answer.error().code) == to_string(code));
  CHECK_FALSE(answer.error().what.empty());
}

}  // namespace zerodb::test
