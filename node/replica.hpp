#pragma once
// The role of a node that keeps sealed data it cannot read: takes transfers and commits, hands out
// manifests, chunks, leaves, digests and entries. Holds no key; trusts signatures, not senders.
// One thread: the node's executor.

#include <map>
#include <memory>

#include "node/node_context.hpp"

namespace zerodb {

struct ReplicaOptions {
  std::uint64_t transfer_credit_bytes = 8 << 20;  ///< a sender's bytes not yet on disk
  std::size_t transfers_max = 256;                ///< under way at once, all senders
  std::size_t transfers_per_sender_max = 128;
  std::size_t proofs_max = 8;  ///< under way at once, for all askers
  std::size_t proofs_per_asker_max = 2;
  Milliseconds transfer_idle_max{120'000};               ///< then a silent transfer is dropped
  std::function<void(const ChunkBinding&)> on_damage{};  ///< bytes asked for are not as they should
};

class Replica {
 public:
  Replica(NodeContext context, ReplicaOptions options);
  ~Replica();

  // One per request of peer::; see PROTOCOL.md for the duties.
  Task<Result<PeerAnswer>> put_inline(NodeId from, peer::PutInline request, Payload payload);
  Task<Result<PeerAnswer>> put_open(NodeId from, peer::PutOpen request);
  Task<Result<PeerAnswer>> put_chunk(NodeId from, peer::PutChunk request, Payload payload);
  Task<Result<PeerAnswer>> put_commit(NodeId from, peer::PutCommit request);
  Task<Result<PeerAnswer>> put_abort(NodeId from, peer::PutAbort request);
  Task<Result<PeerAnswer>> get_manifest(NodeId from, peer::GetManifest request);
  Task<Result<PeerAnswer>> get_chunk(NodeId from, peer::GetChunk request);
  Task<Result<PeerAnswer>> get_leaves(NodeId from, peer::GetLeaves request);
  Task<Result<PeerAnswer>> get_digests(NodeId from, peer::GetDigests request, Payload payload);
  Task<Result<PeerAnswer>> prove(NodeId from, peer::Prove request);
  Task<Result<PeerAnswer>> get_entries(NodeId from, peer::GetEntries request, Payload payload);

  /// Whether this version was committed here by a put, as far as that is remembered.
  bool has_just_taken(ByteView manifest) const;

  /// Drops transfers that went silent. Called now and then by the node.
  void drop_idle_transfers();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace zerodb
