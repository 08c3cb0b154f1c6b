#include "node/draft.hpp"

namespace zerodb {

Result<Draft> make_draft(GatewayCore& core, PutSpec spec) {
  auto& runtime = core.context.runtime;
  Draft draft;
  draft.part.name = std::move(spec.name);
  draft.part.media_type = std::move(spec.media_type);
  draft.part.mtime_ms = spec.mtime_ms;
  draft.part.attributes = std::move(spec.attributes);
  if (auto valid = check_private_part(draft.part); !valid) return fail(std::move(valid.error()));
  runtime.random(draft.part.content_key.mutable_view());
  draft.manifest.object = core.object_of(draft.part.name);
  runtime.random(draft.manifest.blob_id.mutable_view());
  draft.manifest.layout.replicas = core.context.mesh.placement().replicas();
  return draft;
}

FreshBuffer::FreshBuffer(std::size_t bytes)
    : data(std::make_shared_for_overwrite<std::uint8_t[]>(bytes)), size(bytes) {}

Payload seal(const Draft& draft, ChunkPosition position, ByteView plain) {
  const FreshBuffer buffer(plain.size() + chunk_overhead_bytes);
  seal_chunk(draft.part.content_key, draft.manifest.binding(), position, plain, buffer.bytes());
  return buffer.payload();
}

SignedManifest sign(Draft& draft, const OwnerKeys& keys, std::uint64_t size, const Root& root) {
  auto& manifest = draft.manifest;
  manifest.size = size;
  manifest.chunk_count = chunk_count_of(size, manifest.chunk_bytes);
  manifest.root = root;
  manifest.key_commitment = commit_to(draft.part.content_key, manifest.blob_id);
  manifest.sealed = seal_private_part(keys, manifest, draft.part);
  return SignedManifest::sign(manifest, keys);
}

SealedInline seal_inline(Draft& draft, const OwnerKeys& keys, ByteView plain) {
  auto sealed = seal(draft, {.index = 0, .last = true}, plain);
  const auto root = root_of(leaf_of(sealed.view()));
  auto version = std::make_shared<const SignedManifest>(sign(draft, keys, plain.size(), root));
  return {.sealed = std::move(sealed), .version = std::move(version)};
}

}  // namespace zerodb
