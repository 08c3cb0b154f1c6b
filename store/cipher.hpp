#pragma once
// Sealing and opening of chunks: XChaCha20-Poly1305 in the STREAM manner (Hoang, Reyhanitabar,
// Rogaway, Vizar, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance", 2015).
// The nonce holds the chunk's index and a last-chunk bit, so that reordering, splicing and
// truncation fail; the associated data binds owner, hashed key and blob id. Content keys are fresh
// per version, so a nonce never repeats under a key. Thread-safe: pure functions.

#include "store/keys.hpp"

namespace zerodb {

inline constexpr std::uint32_t chunk_bytes_max = 1U << 20;
inline constexpr std::size_t chunk_overhead_bytes = 16;
inline constexpr std::size_t sealed_chunk_bytes_max = chunk_bytes_max + chunk_overhead_bytes;
inline constexpr std::size_t inline_bytes_max = 64 * 1024;  ///< plaintext of an inline object

/// What a sealed chunk belongs to.
struct ChunkBinding {
  ObjectId object;
  BlobId blob_id;
};

struct ChunkPosition {
  std::uint64_t index = 0;
  bool last = false;
};

/// Chunks of an object of `size` bytes: at least one, as an empty object has one empty chunk.
std::uint64_t chunk_count_of(std::uint64_t size, std::uint32_t chunk_bytes);

/// Plaintext bytes in chunk `index` of an object of `size` bytes.
std::uint32_t chunk_size_at(std::uint64_t index, std::uint64_t size, std::uint32_t chunk_bytes);

/// `sealed` must be exactly chunk_overhead_bytes longer than `plain`; they may be the same memory
/// start (sealing in place).
void seal_chunk(const ContentKey& key, const ChunkBinding& binding, ChunkPosition position,
                ByteView plain, MutableBytes sealed);

/// `corrupt` if anything differs from what was sealed; `plain` is then zeroed. `plain` must be
/// exactly chunk_overhead_bytes shorter than `sealed`.
Status open_chunk(const ContentKey& key, const ChunkBinding& binding, ChunkPosition position,
                  ByteView sealed, MutableBytes plain);

/// BLAKE2b-256 of a sealed chunk.
Leaf leaf_of(ByteView sealed);

/// The hash over the leaves in order: BLAKE2b-256 of their concatenation and their count.
class RootHasher {
 public:
  RootHasher();
  void add(const Leaf& leaf);
  Root finish();

 private:
  alignas(64) std::array<std::uint8_t, 384> state_;
  std::uint64_t count_ = 0;
};

/// Of all leaves at once.
Root root_of(std::span<const Leaf> leaves);
inline Root root_of(const Leaf& only) {
  return root_of(std::span(&only, 1));
}

/// XChaCha20-Poly1305 does not commit to its key, so the signed manifest does.
KeyCommitment commit_to(const ContentKey& key, const BlobId& blob_id);

/// Seals a small secret with a random 24-byte nonce in front.
Bytes seal_small(const Secret<32>& key, ByteView associated, ByteView plain);
/// `corrupt` if it does not open.
Result<Bytes> open_small(const Secret<32>& key, ByteView associated, ByteView sealed);

}  // namespace zerodb
