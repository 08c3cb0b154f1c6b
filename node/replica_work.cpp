#include "node/replica_work.hpp"

#include "node/partition_parts.hpp"

namespace zerodb::replica_work {

namespace {

constexpr std::size_t partitions_max = 512;                 ///< looked through for one answer
constexpr std::size_t leaves_max = (1 << 20) / Leaf::size;  ///< of one answer

/// A manifest from another node, good to be kept.
Result<SignedManifest> check_manifest(ByteView wire, std::uint64_t now_ms) {
  auto manifest = SignedManifest::verify(wire);
  if (!manifest) return manifest;
  if (auto on_time = check_not_future((*manifest)->version, now_ms); !on_time) {
    return fail(std::move(on_time.error()));
  }
  return manifest;
}

Status check_inline_payload(const Manifest& manifest, const Payload& payload) {
  if (!manifest.is_tombstone() && !manifest.is_inline()) {
    return fail(Errc::invalid, "put_inline: " + std::to_string(manifest.size) +
                                   " bytes are too many for an inline object; open a transfer");
  }
  const auto expected =
      manifest.is_tombstone() ? 0 : static_cast<std::size_t>(manifest.size) + chunk_overhead_bytes;
  if (payload.size() != expected) {
    return fail(Errc::invalid, "put_inline: the manifest wants a payload of " +
                                   std::to_string(expected) + " bytes, not " +
                                   std::to_string(payload.size()));
  }
  return {};
}

Status check_belongs(const Manifest& manifest, const UploadSpec& spec) {
  if (manifest.is_tombstone() || manifest.object != spec.binding.object ||
      manifest.blob_id != spec.binding.blob_id || manifest.chunk_bytes != spec.chunk_bytes) {
    return fail(Errc::invalid, "put_commit: the manifest is not of what this transfer carried");
  }
  return {};
}

/// The manifest of the version that has `request`'s blob.
template <class Request>
Result<SignedManifest> find_version(Store& store, const Request& request) {
  auto found =
      store.find({.owner = request.owner, .hashed_key = request.hashed_key}, request.blob_id);
  if (!found) return fail(std::move(found.error()));
  if (!*found) {
    return fail(Errc::not_found, std::string(Request::name) + ": blob " +
                                     request.blob_id.short_hex() + " is not here");
  }
  return std::move(**found);
}

/// Why bytes of a version that was here a moment ago could not be read: as long as its manifest is
/// here they should be, too, and "I do not have it" would be no answer.
template <class Request>
Error explain_unread(Store& store, const Request& request, Error error) {
  if (error.code != Errc::not_found) return error;
  auto still = find_version(store, request);
  if (!still) return std::move(still.error());
  return {Errc::corrupt, std::string(Request::name) + ": " + error.what};
}

}  // namespace

Result<std::shared_ptr<const SignedManifest>> check_inline(ByteView wire, const Payload& payload,
                                                           std::uint64_t now_ms) {
  auto manifest = check_manifest(wire, now_ms);
  if (!manifest) return fail(std::move(manifest.error()));
  if (auto right = check_inline_payload(manifest->manifest(), payload); !right) {
    return fail(std::move(right.error()));
  }
  return std::make_shared<const SignedManifest>(std::move(*manifest));
}

Result<CommitOutcome> commit_transfer(Store& store, const Transfer& transfer,
                                      const peer::PutCommit& request, std::uint64_t now_ms) {
  auto manifest = check_manifest(request.manifest, now_ms);
  if (!manifest) return fail(std::move(manifest.error()));
  if (auto right = check_belongs(manifest->manifest(), transfer.spec); !right) {
    return fail(std::move(right.error()));
  }
  return store.commit_upload(*transfer.upload, *manifest, expected_in(request.expected));
}

Result<CommitOutcome> commit_kept_blob(Store& store, const peer::PutCommit& request,
                                       std::uint64_t now_ms) {
  auto manifest = check_manifest(request.manifest, now_ms);
  if (!manifest) return fail(std::move(manifest.error()));
  if ((*manifest)->is_tombstone()) {
    return fail(Errc::invalid, "put_commit: a tombstone needs no transfer; send put_inline");
  }
  return store.commit_version(*manifest, expected_in(request.expected));
}

Expected expected_in(const std::optional<std::uint64_t>& field) {
  return field ? Expected(Version{*field}) : Expected();
}

Result<PeerAnswer> read_manifest(Store& store, const peer::GetManifest& request, bool whole) {
  auto latest = store.latest({.owner = request.owner, .hashed_key = request.hashed_key});
  if (!latest) return fail(std::move(latest.error()));
  peer::GetManifest::Reply reply{.whole = whole};
  if (!*latest) return PeerAnswer{std::move(reply), Payload()};
  const SignedManifest& manifest = **latest;
  reply.manifest = manifest.wire();
  if (!request.with_inline || !manifest->is_inline())
    return PeerAnswer{std::move(reply), Payload()};
  // Even without its bytes the manifest matters: it says which version stands.
  auto chunk = store.read_chunk(manifest, 0);
  return PeerAnswer{std::move(reply), chunk ? std::move(*chunk) : Payload()};
}

Result<PeerAnswer> read_chunk(Store& store, const peer::GetChunk& request) {
  auto manifest = find_version(store, request);
  if (!manifest) return fail(std::move(manifest.error()));
  if (request.index >= (*manifest)->chunk_count) {
    return fail(Errc::not_found, "get_chunk: chunk " + std::to_string(request.index) + " of " +
                                     std::to_string((*manifest)->chunk_count));
  }
  auto chunk = store.read_chunk(*manifest, request.index);
  if (!chunk) return fail(explain_unread(store, request, std::move(chunk.error())));
  return PeerAnswer{peer::Ok{}, std::move(*chunk)};
}

Result<PeerAnswer> read_leaves(Store& store, const peer::GetLeaves& request) {
  auto manifest = find_version(store, request);
  if (!manifest) return fail(std::move(manifest.error()));
  const auto count = std::min<std::size_t>(request.count, leaves_max);
  auto leaves = store.read_leaves(*manifest, request.first, count);
  if (!leaves) return fail(explain_unread(store, request, std::move(leaves.error())));
  Bytes out;
  out.reserve(leaves->size() * Leaf::size);
  for (const auto& leaf : *leaves)
    out.insert(out.end(), leaf.view().begin(), leaf.view().end());
  return PeerAnswer{peer::Ok{}, Payload::take(std::move(out))};
}

Result<PeerAnswer> read_entries(Store& store, const peer::GetEntries& request, ByteView known,
                                std::optional<ObjectId> after) {
  constexpr std::size_t page_max = entries_payload_bytes_max / entry_bytes;
  peer::GetEntries::Reply reply;
  Bytes out;
  for (std::size_t i = 0; i < request.partitions.size(); ++i) {
    const auto partition = request.partitions[i];
    const EntryQuery query{.partition = static_cast<Partition>(partition),
                           .owner = request.owner,
                           .after = std::exchange(after, std::nullopt),
                           .limit = page_max - out.size() / entry_bytes};
    if (query.limit == 0 || i == partitions_max) {
      reply.next_partition = partition;
      break;
    }
    const auto parts = known.empty() ? known : known.subspan(i * parts_bytes, parts_bytes);
    auto page = parts.empty() ? store.entries(query) : page_of_differing_parts(store, query, parts);
    if (!page) return fail(std::move(page.error()));
    for (const auto& entry : page->entries)
      append_entry(out, entry);
    if (page->next_after) {
      reply.next_partition = partition;
      reply.next_after = encode_position(*page->next_after);
      break;
    }
  }
  return PeerAnswer{std::move(reply), Payload::take(std::move(out))};
}

}  // namespace zerodb::replica_work
