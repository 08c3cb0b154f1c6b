#include "store/index_key.hpp"

#include "store/blob_format.hpp"

namespace zerodb::index_key {

namespace {

constexpr char value_format = 1;

std::string u64_text(std::uint64_t value) {
  std::array<std::uint8_t, 8> bytes{};
  put_u64(bytes, value);
  return std::string(as_text(bytes));
}

std::string complement(std::string_view text) {
  std::string out(text);
  for (auto& c : out)
    c = static_cast<char>(~c);
  return out;
}

template <class AnyId>
AnyId id_at(std::string_view text, std::size_t offset) {
  return *AnyId::from(as_bytes(text.substr(offset, AnyId::size)));
}

}  // namespace

std::string of_partition(Partition partition) {
  std::array<std::uint8_t, 2> bytes{};
  put_u16(bytes, partition);
  return std::string(as_text(bytes));
}

std::string of_owner(Partition partition, const OwnerId& owner) {
  return of_partition(partition) + std::string(as_text(owner.view()));
}

std::string of_object(const ObjectId& object) {
  auto key = of_owner(partition_of(object.hashed_key), object.owner);
  return key.append(as_text(object.hashed_key.view()));
}

std::string of_entry(const Entry& entry) {
  auto key = of_object(entry.object);
  key += u64_text(~entry.version.value);
  return key += complement(as_text(entry.hash.view()));
}

std::string after_all(std::string prefix) {
  return prefix.append(key_bytes + 1 - std::min(prefix.size(), key_bytes), '\xff');
}

Result<Entry> decode(std::string_view key) {
  if (key.size() != key_bytes) {
    return fail(Errc::corrupt, "index key of " + std::to_string(key.size()) + " bytes");
  }
  Entry entry;
  entry.object.owner = id_at<OwnerId>(key, 2);
  entry.object.hashed_key = id_at<HashedKey>(key, owner_prefix_bytes);
  entry.version.value = ~get_u64(as_bytes(key.substr(object_bytes, 8)));
  entry.hash = id_at<ManifestHash>(complement(key), object_bytes + 8);
  if (!key.starts_with(of_partition(partition_of(entry.object.hashed_key)))) {
    return fail(Errc::corrupt, "index key of another partition than its object's");
  }
  return entry;
}

std::string of_blob(const ChunkBinding& binding) {
  std::string key(as_text(binding.object.owner.view()));
  key.append(as_text(binding.object.hashed_key.view()));
  return key.append(as_text(binding.blob_id.view()));
}

Result<ChunkBinding> decode_blob(std::string_view key) {
  if (key.size() != OwnerId::size + HashedKey::size + BlobId::size) {
    return fail(Errc::corrupt, "blob key of " + std::to_string(key.size()) + " bytes");
  }
  return ChunkBinding{.object = {.owner = id_at<OwnerId>(key, 0),
                                 .hashed_key = id_at<HashedKey>(key, OwnerId::size)},
                      .blob_id = id_at<BlobId>(key, OwnerId::size + HashedKey::size)};
}

std::string of_superseded(std::uint64_t ms, std::string_view key) {
  return u64_text(ms).append(key);
}

std::string superseded_bound(std::uint64_t ms) {
  return u64_text(ms);
}

Result<std::string_view> superseded_key(std::string_view line) {
  if (line.size() != 8 + key_bytes) {
    return fail(Errc::corrupt, "superseded line of " + std::to_string(line.size()) + " bytes");
  }
  return line.substr(8);
}

std::string encode_value(const SignedManifest& manifest) {
  std::string value;
  value.reserve(value_head_bytes + manifest.wire().size());
  value += value_format;
  value += static_cast<char>(manifest->kind);
  value += as_text(manifest->blob_id.view());
  value += u64_text(blob_format::sealed_bytes_of(manifest.manifest()));
  return value += as_text(manifest.wire());
}

Result<ValueHead> decode_head(std::string_view value) {
  if (value.size() < value_head_bytes || value[0] != value_format || value[1] < 0 || value[1] > 1) {
    return fail(Errc::corrupt,
                "index value of " + std::to_string(value.size()) + " bytes has no head");
  }
  return ValueHead{.kind = static_cast<ObjectKind>(value[1]),
                   .blob_id = id_at<BlobId>(value, 2),
                   .sealed_bytes = get_u64(as_bytes(value.substr(2 + BlobId::size, 8)))};
}

Result<SignedManifest> decode_manifest(std::string_view value) {
  if (auto head = decode_head(value); !head) return fail(std::move(head.error()));
  auto manifest = SignedManifest::trusted(as_bytes(value.substr(value_head_bytes)));
  if (manifest) return manifest;
  return fail(Errc::corrupt, "index value: " + manifest.error().what);
}

}  // namespace zerodb::index_key
