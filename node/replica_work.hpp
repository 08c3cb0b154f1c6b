#pragma once
// What a replica does off the network thread: each function is one visit to the store, checks of
// bytes from outside included. Blocking; thread-safe.

#include "node/transfers.hpp"

namespace zerodb::replica_work {

/// The manifest of an inline object or a tombstone, verified, and found to go with its payload.
Result<std::shared_ptr<const SignedManifest>> check_inline(ByteView wire, const Payload& payload,
                                                           std::uint64_t now_ms);

/// Verifies the manifest and commits what `transfer` carried under it.
Result<CommitOutcome> commit_transfer(Store& store, const Transfer& transfer,
                                      const peer::PutCommit& request, std::uint64_t now_ms);

/// For a commit whose transfer is gone: it may have succeeded before, with the answer lost.
Result<CommitOutcome> commit_kept_blob(Store& store, const peer::PutCommit& request,
                                       std::uint64_t now_ms);

Expected expected_in(const std::optional<std::uint64_t>& field);

Result<PeerAnswer> read_manifest(Store& store, const peer::GetManifest& request, bool whole);
/// `corrupt` if the version is here and its bytes are not; `not_found` if it is not, or has no such
/// chunk.
Result<PeerAnswer> read_chunk(Store& store, const peer::GetChunk& request);
Result<PeerAnswer> read_leaves(Store& store, const peer::GetLeaves& request);

/// One page: what fits of the partitions asked for, from `after` on, and where to go on. With
/// `known`, only of the parts that differ from it; see partition_parts.hpp.
Result<PeerAnswer> read_entries(Store& store, const peer::GetEntries& request, ByteView known,
                                std::optional<ObjectId> after);

}  // namespace zerodb::replica_work
