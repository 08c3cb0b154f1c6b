#include "store/blob_format.hpp"

#include "store/hash.hpp"

namespace zerodb::blob_format {

namespace {

constexpr std::string_view header_magic = "zdb-blob";
constexpr std::string_view footer_magic = "zdb-foot";

// Offsets within the header.
constexpr std::size_t format_at = 8;
constexpr std::size_t chunk_bytes_at = 12;
constexpr std::size_t owner_at = 16;
constexpr std::size_t hashed_key_at = 48;
constexpr std::size_t blob_id_at = 80;
constexpr std::size_t header_checksum_at = 112;
constexpr std::size_t header_checksum_bytes = 16;

// Offsets within the footer.
constexpr std::size_t chunk_count_at = 0;
constexpr std::size_t leaves_at_at = 8;
constexpr std::size_t manifest_at_at = 16;
constexpr std::size_t manifest_bytes_at = 24;
constexpr std::size_t footer_checksum_at = 32;
constexpr std::size_t footer_checksum_bytes = 24;
constexpr std::size_t footer_magic_at = 56;

void copy_to(Bytes& to, std::size_t offset, ByteView from) {
  std::copy(from.begin(), from.end(), to.begin() + static_cast<std::ptrdiff_t>(offset));
}

MutableBytes part(Bytes& of, std::size_t offset, std::size_t size) {
  return MutableBytes(of).subspan(offset, size);
}

void append(Bytes& to, ByteView from) {
  to.insert(to.end(), from.begin(), from.end());
}

auto header_checksum(ByteView header) {
  return blake2b_256("zerodb blob head", {header.first(header_checksum_at)});
}

auto footer_checksum(ByteView footer, ByteView manifest_wire) {
  return blake2b_256("zerodb blob foot", {manifest_wire, footer.first(footer_checksum_at)});
}

Bytes encode_footer(const Footer& footer, ByteView manifest_wire) {
  Bytes out(footer_bytes);
  put_u64(part(out, chunk_count_at, 8), footer.chunk_count);
  put_u64(part(out, leaves_at_at, 8), footer.leaves_at);
  put_u64(part(out, manifest_at_at, 8), footer.manifest_at);
  put_u32(part(out, manifest_bytes_at, 4), footer.manifest_bytes);
  const auto checksum = footer_checksum(out, manifest_wire);
  copy_to(out, footer_checksum_at, ByteView(checksum).first(footer_checksum_bytes));
  copy_to(out, footer_magic_at, as_bytes(footer_magic));
  return out;
}

}  // namespace

std::uint64_t sealed_bytes_of(const Manifest& manifest) {
  if (manifest.is_tombstone()) return 0;
  return manifest.size + manifest.chunk_count * chunk_overhead_bytes;
}

std::size_t sealed_chunk_size_at(const Manifest& manifest, std::uint64_t index) {
  return chunk_size_at(index, manifest.size, manifest.chunk_bytes) + chunk_overhead_bytes;
}

std::uint64_t chunk_offset(std::uint64_t index, std::uint32_t chunk_bytes) {
  return header_bytes + index * (chunk_bytes + chunk_overhead_bytes);
}

Bytes encode_header(const Header& header) {
  Bytes out(header_bytes);
  copy_to(out, 0, as_bytes(header_magic));
  put_u32(part(out, format_at, 4), format);
  put_u32(part(out, chunk_bytes_at, 4), header.chunk_bytes);
  copy_to(out, owner_at, header.binding.object.owner.view());
  copy_to(out, hashed_key_at, header.binding.object.hashed_key.view());
  copy_to(out, blob_id_at, header.binding.blob_id.view());
  const auto checksum = header_checksum(out);
  copy_to(out, header_checksum_at, ByteView(checksum).first(header_checksum_bytes));
  return out;
}

Result<Header> decode_header(ByteView bytes) {
  if (bytes.size() < header_bytes || as_text(bytes.first(header_magic.size())) != header_magic) {
    return fail(Errc::corrupt, "no blob file header");
  }
  if (const auto found = get_u32(bytes.subspan(format_at, 4)); found > format) {
    return fail(Errc::invalid, "blob file of format " + std::to_string(found) +
                                   ", this zerodb reads up to " + std::to_string(format));
  }
  const auto checksum = header_checksum(bytes);
  if (!std::equal(checksum.begin(), checksum.begin() + header_checksum_bytes,
                  bytes.begin() + header_checksum_at)) {
    return fail(Errc::corrupt, "blob file header: wrong checksum");
  }
  Header header;
  header.chunk_bytes = get_u32(bytes.subspan(chunk_bytes_at, 4));
  auto& [object, blob_id] = header.binding;
  object.owner = *OwnerId::from(bytes.subspan(owner_at, OwnerId::size));
  object.hashed_key = *HashedKey::from(bytes.subspan(hashed_key_at, HashedKey::size));
  blob_id = *BlobId::from(bytes.subspan(blob_id_at, BlobId::size));
  return header;
}

Bytes encode_trailer(const SignedManifest& manifest, const std::vector<Leaf>& leaves) {
  const auto leaves_at = leaves_offset(manifest.manifest());
  const auto leaves_bytes = leaves.size() * Leaf::size;
  const Footer footer{.chunk_count = leaves.size(),
                      .leaves_at = leaves_at,
                      .manifest_at = leaves_at + leaves_bytes,
                      .manifest_bytes = static_cast<std::uint32_t>(manifest.wire().size())};
  Bytes out;
  out.reserve(leaves_bytes + manifest.wire().size() + footer_bytes);
  for (const auto& leaf : leaves)
    append(out, leaf.view());
  append(out, manifest.wire());
  append(out, encode_footer(footer, manifest.wire()));
  return out;
}

Result<Footer> decode_footer(ByteView bytes) {
  if (bytes.size() != footer_bytes || as_text(bytes.subspan(footer_magic_at)) != footer_magic) {
    return fail(Errc::corrupt, "no blob file footer");
  }
  return Footer{.chunk_count = get_u64(bytes.subspan(chunk_count_at, 8)),
                .leaves_at = get_u64(bytes.subspan(leaves_at_at, 8)),
                .manifest_at = get_u64(bytes.subspan(manifest_at_at, 8)),
                .manifest_bytes = get_u32(bytes.subspan(manifest_bytes_at, 4))};
}

Status check_footer(ByteView footer, ByteView manifest_wire) {
  const auto checksum = footer_checksum(footer, manifest_wire);
  if (!std::equal(checksum.begin(), checksum.begin() + footer_checksum_bytes,
                  footer.begin() + footer_checksum_at)) {
    return fail(Errc::corrupt, "blob file footer: wrong checksum");
  }
  return {};
}

}  // namespace zerodb::blob_format
