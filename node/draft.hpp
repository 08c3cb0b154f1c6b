#pragma once
// A version of an object before it is signed. One thread: the node's executor, but for the
// functions that say otherwise.

#include "node/gateway_core.hpp"

namespace zerodb {

struct Draft {
  Manifest manifest;
  PrivatePart part;
};

/// A new object with a fresh content key and blob id; `invalid` for a bad name or attributes.
Result<Draft> make_draft(GatewayCore& core, PutSpec spec);

/// A buffer to be filled once and then shared, unlike a vector's not zeroed first.
struct FreshBuffer {
  explicit FreshBuffer(std::size_t size);
  Payload payload() const { return {data, {data.get(), size}}; }
  MutableBytes bytes() const { return {data.get(), size}; }

  std::shared_ptr<std::uint8_t[]> data;
  std::size_t size;
};

/// Any thread.
Payload seal(const Draft& draft, ChunkPosition position, ByteView plain);

/// Fills in size, chunks and root, seals the private part and signs. Any thread.
SignedManifest sign(Draft& draft, const OwnerKeys& keys, std::uint64_t size, const Root& root);

/// A whole small object in one step: its one sealed chunk, and the first version to commit.
struct SealedInline {
  Payload sealed;
  SignedPtr version;
};
/// Any thread.
SealedInline seal_inline(Draft& draft, const OwnerKeys& keys, ByteView plain);

}  // namespace zerodb
