#include "tests/sim/sealed_object.hpp"

#include <stdexcept>

#include "store/hash.hpp"

namespace zerodb::sim {

namespace {

PrivatePart private_part(std::string_view name, ContentKey key) {
  return {.name = std::string(name),
          .media_type = "application/octet-stream",
          .mtime_ms = {},
          .attributes = {},
          .content_key = std::move(key)};
}

/// Seals the chunks one after the other and notes count and root in the manifest.
std::vector<Bytes> seal_chunks(const ContentKey& key, Manifest& manifest) {
  RootHasher root;
  std::vector<Bytes> chunks;
  manifest.chunk_count = chunk_count_of(manifest.size, manifest.chunk_bytes);
  for (std::uint64_t i = 0; i < manifest.chunk_count; ++i) {
    Bytes plain(chunk_size_at(i, manifest.size, manifest.chunk_bytes));
    fill_random(plain);
    Bytes sealed(plain.size() + chunk_overhead_bytes);
    seal_chunk(key, manifest.binding(), {.index = i, .last = i + 1 == manifest.chunk_count}, plain,
               sealed);
    root.add(leaf_of(sealed));
    chunks.push_back(std::move(sealed));
  }
  manifest.root = root.finish();
  return chunks;
}

Result<CommitOutcome> upload(Store& store, const SealedObject& object) {
  auto upload = store.begin_upload(
      {.binding = object.manifest->binding(), .chunk_bytes = object.manifest->chunk_bytes});
  if (!upload) return fail(std::move(upload.error()));
  for (std::size_t i = 0; i < object.chunks.size(); ++i) {
    auto written = (*upload)->write(i, object.chunks[i]);
    if (!written) return fail(std::move(written.error()));
  }
  return store.commit_upload(**upload, object.manifest);
}

}  // namespace

SealedObject seal_object(const OwnerKeys& keys, const ObjectSpec& spec) {
  Manifest manifest;
  manifest.object = {.owner = keys.id(), .hashed_key = keys.hash_name(spec.name)};
  manifest.version = spec.version;
  manifest.blob_id = random_id<BlobId>();
  manifest.size = spec.size;
  auto key = ContentKey::random();
  manifest.key_commitment = commit_to(key, manifest.blob_id);
  auto chunks = seal_chunks(key, manifest);
  manifest.sealed = seal_private_part(keys, manifest, private_part(spec.name, std::move(key)));
  return {SignedManifest::sign(manifest, keys), std::move(chunks)};
}

SealedObject move_version(const OwnerKeys& keys, const SealedObject& object, Version version) {
  auto manifest = object.manifest.manifest();
  manifest.version = version;
  return {SignedManifest::sign(manifest, keys), object.chunks};
}

SignedManifest sign_tombstone(const OwnerKeys& keys, std::string_view name, Version version) {
  Manifest manifest;
  manifest.object = {.owner = keys.id(), .hashed_key = keys.hash_name(name)};
  manifest.version = version;
  manifest.kind = ObjectKind::tombstone;
  manifest.chunk_count = 0;
  manifest.sealed = seal_private_part(keys, manifest, private_part(name, ContentKey()));
  return SignedManifest::sign(manifest, keys);
}

void keep_in(Store& store, const SealedObject& object) {
  const auto outcome = object.manifest->is_inline()
                           ? store.commit_inline(object.manifest, object.chunks.at(0))
                           : upload(store, object);
  if (!outcome) throw std::runtime_error(outcome.error().what);
  if (outcome->kind != CommitOutcome::Kind::stored) throw std::runtime_error("not stored");
}

}  // namespace zerodb::sim
