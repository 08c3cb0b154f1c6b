#pragma once
// The bytes of a blob file around its sealed chunks. Layout and a worked example: FORMAT.md.
// Thread-safe: pure functions.

#include <vector>

#include "store/manifest.hpp"

namespace zerodb::blob_format {

inline constexpr std::uint32_t format = 1;
inline constexpr std::size_t header_bytes = 128;
inline constexpr std::size_t footer_bytes = 64;

/// Sealed bytes of an object of `size` bytes: those, and a tag for each chunk.
std::uint64_t sealed_bytes_of(const Manifest& manifest);

/// Sealed bytes of chunk `index`.
std::size_t sealed_chunk_size_at(const Manifest& manifest, std::uint64_t index);

/// Where chunk `index` begins in the file; with `index` = the number of chunks, where leaves begin
/// if the last chunk is full.
std::uint64_t chunk_offset(std::uint64_t index, std::uint32_t chunk_bytes);

inline std::uint64_t leaves_offset(const Manifest& manifest) {
  return header_bytes + sealed_bytes_of(manifest);
}

struct Header {
  ChunkBinding binding;
  std::uint32_t chunk_bytes = chunk_bytes_max;
};
Bytes encode_header(const Header& header);
/// `corrupt` if it is damaged, `invalid` if its format is newer.
Result<Header> decode_header(ByteView bytes);

struct Footer {
  std::uint64_t chunk_count = 0;
  std::uint64_t leaves_at = 0;
  std::uint64_t manifest_at = 0;
  std::uint32_t manifest_bytes = 0;
};
/// Leaves, manifest and footer: what follows the last chunk.
Bytes encode_trailer(const SignedManifest& manifest, const std::vector<Leaf>& leaves);
/// `corrupt` if it is damaged. The checksum covers the manifest too: see check_footer().
Result<Footer> decode_footer(ByteView bytes);
Status check_footer(ByteView footer, ByteView manifest_wire);

}  // namespace zerodb::blob_format
