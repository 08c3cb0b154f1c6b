#pragma once
// Distinct things of the same size are distinct types: a HashedKey never passes for a Leaf.
// Thread-safe: plain values.

#include <algorithm>
#include <array>
#include <bit>
#include <compare>
#include <cstring>
#include <functional>
#include <string>

#include "store/bytes.hpp"

namespace zerodb {

template <class Tag, std::size_t Size>
class Id {
 public:
  static constexpr std::size_t size = Size;

  constexpr Id() = default;  ///< all zeros, which no real id ever is

  /// `invalid` unless `bytes` has exactly the right length.
  static Result<Id> from(ByteView bytes) {
    if (bytes.size() != Size) {
      return fail(Errc::invalid, std::string(Tag::name) + ": expected " + std::to_string(Size) +
                                     " bytes, got " + std::to_string(bytes.size()));
    }
    Id id;
    std::copy(bytes.begin(), bytes.end(), id.bytes_.begin());
    return id;
  }

  static Result<Id> from_hex(std::string_view text) {
    auto bytes = zerodb::from_hex(text);
    if (!bytes) return fail(Tag::name, std::move(bytes.error()));
    return from(*bytes);
  }

  ByteView view() const { return bytes_; }
  MutableBytes mutable_view() { return bytes_; }
  std::string hex() const { return to_hex(bytes_); }
  std::string short_hex() const { return to_hex(ByteView(bytes_).first(4)); }  ///< for logs
  bool is_zero() const { return *this == Id{}; }

  bool operator==(const Id& other) const { return (*this <=> other) == 0; }

  /// In the order of their bytes.
  std::strong_ordering operator<=>(const Id& other) const {
    for (std::size_t at = 0; at < Size; at += word_size) {
      const auto ours = word(at);
      const auto theirs = other.word(at);
      if (ours != theirs) return ours <=> theirs;
    }
    return std::strong_ordering::equal;
  }

 private:
  using Word = std::uint64_t;
  static constexpr std::size_t word_size = sizeof(Word);
  static_assert(Size % word_size == 0);

  /// Big-endian, in one load: ids are compared wherever there is a map of them.
  Word word(std::size_t at) const {
    Word value = 0;
    std::memcpy(&value, bytes_.data() + at, word_size);
    return std::endian::native == std::endian::little ? __builtin_bswap64(value) : value;
  }

  std::array<std::uint8_t, Size> bytes_{};
};

// clang-format off
struct OwnerIdTag { static constexpr std::string_view name = "owner id"; };
struct HashedKeyTag { static constexpr std::string_view name = "hashed key"; };
struct BlobIdTag { static constexpr std::string_view name = "blob id"; };
struct LeafTag { static constexpr std::string_view name = "leaf"; };
struct RootTag { static constexpr std::string_view name = "root"; };
struct ManifestHashTag { static constexpr std::string_view name = "manifest hash"; };
struct KeyCommitmentTag { static constexpr std::string_view name = "key commitment"; };
struct SignatureTag { static constexpr std::string_view name = "signature"; };
struct NodeIdTag { static constexpr std::string_view name = "node id"; };
struct SignKeyTag { static constexpr std::string_view name = "signing key"; };
struct MeshIdTag { static constexpr std::string_view name = "mesh id"; };
struct TransferIdTag { static constexpr std::string_view name = "transfer id"; };
// clang-format on

using OwnerId = Id<OwnerIdTag, 32>;              ///< Ed25519 public key of an owner
using HashedKey = Id<HashedKeyTag, 32>;          ///< keyed BLAKE2b-256 of a key's name
using BlobId = Id<BlobIdTag, 16>;                ///< random, one per sealed content
using Leaf = Id<LeafTag, 32>;                    ///< BLAKE2b-256 of a sealed chunk
using Root = Id<RootTag, 32>;                    ///< hash over the leaves
using ManifestHash = Id<ManifestHashTag, 32>;    ///< BLAKE2b-256 of a manifest body
using KeyCommitment = Id<KeyCommitmentTag, 32>;  ///< binds a manifest to its content key
using Signature = Id<SignatureTag, 64>;          ///< Ed25519
using NodeId = Id<NodeIdTag, 32>;                ///< CURVE public key of a node
using SignKey = Id<SignKeyTag, 32>;              ///< Ed25519 public key of a node or a mesh
using MeshId = Id<MeshIdTag, 32>;                ///< Ed25519 public key of a mesh
using TransferId = Id<TransferIdTag, 16>;        ///< random, one per blob on its way

/// The object (owner, key) as every node may know it.
struct ObjectId {
  OwnerId owner;
  HashedKey hashed_key;
  auto operator<=>(const ObjectId&) const = default;
};

/// The top bits of a hashed key. Placement and reconcile work on whole partitions.
using Partition = std::uint16_t;
inline constexpr unsigned partition_bits = 12;
inline constexpr std::size_t partition_count = std::size_t{1} << partition_bits;

inline Partition partition_of(const HashedKey& key) {
  return static_cast<Partition>(get_u16(key.view().first(2)) >> (16 - partition_bits));
}

/// The least hashed key of a partition.
inline HashedKey first_key_of(Partition partition) {
  HashedKey key;
  put_u16(key.mutable_view().first(2),
          static_cast<std::uint16_t>(partition << (16 - partition_bits)));
  return key;
}

/// For unordered containers: ids are uniformly distributed, so their first bytes are a hash.
struct IdHash {
  template <class Tag, std::size_t Size>
  std::size_t operator()(const Id<Tag, Size>& id) const {
    std::size_t hash = 0;
    std::memcpy(&hash, id.view().data(), sizeof hash);
    return hash;
  }
  std::size_t operator()(const ObjectId& id) const {
    return (*this)(id.owner) ^ (*this)(id.hashed_key);
  }
};

}  // namespace zerodb
