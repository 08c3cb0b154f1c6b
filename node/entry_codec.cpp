#include "node/entry_codec.hpp"

#include <cstring>
#include <span>

namespace zerodb {

namespace {

void append(Bytes& out, ByteView bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

/// The caller checked that there are enough bytes.
ObjectId object_at(ByteView bytes) {
  return {.owner = *OwnerId::from(bytes.subspan(0, OwnerId::size)),
          .hashed_key = *HashedKey::from(bytes.subspan(OwnerId::size, HashedKey::size))};
}

Entry entry_at(ByteView bytes) {
  return {.object = object_at(bytes),
          .version = {get_u64(bytes.subspan(position_bytes, 8))},
          .hash = *ManifestHash::from(bytes.subspan(position_bytes + 8, ManifestHash::size))};
}

}  // namespace

void append_entry(Bytes& out, const Entry& entry) {
  append(out, entry.object.owner.view());
  append(out, entry.object.hashed_key.view());
  std::array<std::uint8_t, 8> version{};
  put_u64(version, entry.version.value);
  append(out, version);
  append(out, entry.hash.view());
}

Result<std::vector<Entry>> decode_entries(ByteView payload) {
  if (payload.size() % entry_bytes != 0 || payload.size() > entries_payload_bytes_max) {
    return fail(Errc::invalid, "entries: " + std::to_string(payload.size()) +
                                   " bytes are not a page of whole entries");
  }
  std::vector<Entry> entries;
  entries.reserve(payload.size() / entry_bytes);
  for (std::size_t at = 0; at < payload.size(); at += entry_bytes) {
    entries.push_back(entry_at(payload.subspan(at, entry_bytes)));
  }
  return entries;
}

Bytes encode_digests(const std::vector<PartitionDigest>& digests) {
  const auto bytes = std::as_bytes(std::span(digests));
  Bytes out(bytes.size());
  if (!out.empty()) std::memcpy(out.data(), bytes.data(), out.size());
  return out;
}

Result<std::vector<PartitionDigest>> decode_digests(ByteView payload) {
  constexpr auto size = sizeof(PartitionDigest);
  if (payload.size() != partition_count * size) {
    return fail(Errc::invalid, "digests: expected " + std::to_string(partition_count * size) +
                                   " bytes, got " + std::to_string(payload.size()));
  }
  std::vector<PartitionDigest> digests(partition_count);
  for (std::size_t i = 0; i < digests.size(); ++i) {
    std::copy_n(payload.begin() + static_cast<std::ptrdiff_t>(i * size), size, digests[i].begin());
  }
  return digests;
}

Bytes encode_sized_digests(const std::vector<PartitionDigest>& digests,
                           const std::vector<PartitionSize>& sizes) {
  auto out = encode_digests(digests);
  auto at = out.size();
  out.resize(at + sizes.size() * 8);
  for (const auto& size : sizes) {
    put_u64(MutableBytes(out).subspan(at, 8), size.bytes);
    at += 8;
  }
  return out;
}

Result<SizedDigests> decode_sized_digests(ByteView payload) {
  constexpr auto digests_size = partition_count * sizeof(PartitionDigest);
  if (payload.size() != digests_size + partition_count * 8) {
    return fail(Errc::invalid, "digests with sizes: " + std::to_string(payload.size()) +
                                   " bytes are not 24 a partition");
  }
  auto digests = decode_digests(payload.first(digests_size));
  if (!digests) return fail(std::move(digests.error()));
  SizedDigests sized{.digests = std::move(*digests)};
  for (std::size_t i = 0; i < partition_count; ++i)
    sized.bytes.push_back(get_u64(payload.subspan(digests_size + i * 8, 8)));
  return sized;
}

Bytes encode_position(const ObjectId& object) {
  Bytes out;
  append(out, object.owner.view());
  append(out, object.hashed_key.view());
  return out;
}

Result<ObjectId> decode_position(ByteView bytes) {
  if (bytes.size() != position_bytes) {
    return fail(Errc::invalid, "listing position: expected " + std::to_string(position_bytes) +
                                   " bytes, got " + std::to_string(bytes.size()));
  }
  return object_at(bytes);
}

}  // namespace zerodb
