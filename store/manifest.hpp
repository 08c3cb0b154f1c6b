#pragma once
// The signed description of one version of an object. Any node can check it without a key; only
// the owner can make it or read its private part. The bytes that were signed are kept and never
// re-encoded. Layout: FORMAT.md. Thread-safe: plain values.

#include <map>
#include <optional>
#include <string>

#include "store/cipher.hpp"
#include "store/clock.hpp"

namespace zerodb {

inline constexpr std::size_t manifest_bytes_max = 8192;
inline constexpr std::size_t attributes_bytes_max = 4096;

enum class ObjectKind : std::uint8_t { object = 0, tombstone = 1 };

/// How a blob is spread: whole copies now; erasure-coded layouts may come.
struct Layout {
  std::uint32_t replicas = 1;
};

/// What every node may read.
struct Manifest {
  std::uint32_t format = 1;
  ObjectId object;
  Version version;
  ObjectKind kind = ObjectKind::object;
  BlobId blob_id;
  std::uint64_t size = 0;  ///< plaintext bytes
  std::uint32_t chunk_bytes = chunk_bytes_max;
  std::uint64_t chunk_count = 0;
  Root root;
  Layout layout;
  KeyCommitment key_commitment;
  Bytes sealed;  ///< PrivatePart under the owner's wrap key

  bool is_tombstone() const { return kind == ObjectKind::tombstone; }
  bool is_inline() const { return !is_tombstone() && size <= inline_bytes_max; }
  ChunkBinding binding() const { return {object, blob_id}; }
};

/// What only the owner may read. A tombstone keeps the name and nothing else: its content key and
/// its manifest's key commitment, size, chunk count and root are zero.
struct PrivatePart {
  std::string name;
  std::string media_type;
  std::optional<std::int64_t> mtime_ms;
  std::map<std::string, std::string> attributes;
  ContentKey content_key;
};

/// `invalid` if the name, media type or attributes are longer than a manifest can hold, or not
/// UTF-8.
Status check_private_part(const PrivatePart& part);

/// Whether the version's chunks were sealed under this key, as its owner has signed. A tombstone
/// has neither content nor key.
bool commitment_holds(const Manifest& manifest, const ContentKey& key);

/// For a part that check_private_part() has let pass.
/// Binds owner, hashed key and blob id; does not depend on the version, so that a version can be
/// moved on without sealing again.
Bytes seal_private_part(const OwnerKeys& keys, const Manifest& about, const PrivatePart& part);
/// `denied` for another owner's manifest; `corrupt` if it does not open.
Result<PrivatePart> open_private_part(const OwnerKeys& keys, const Manifest& manifest);

/// A manifest with its owner's signature: the wire and disk form is body ‖ signature.
class SignedManifest {
 public:
  static SignedManifest sign(const Manifest& manifest, const OwnerKeys& keys);

  /// For bytes from outside: checks form, ranges and signature. `invalid` or `corrupt`.
  static Result<SignedManifest> verify(ByteView wire);

  /// For bytes this node verified before it kept them: checks the form only.
  static Result<SignedManifest> trusted(ByteView wire);

  const Manifest& manifest() const { return manifest_; }
  const Manifest* operator->() const { return &manifest_; }
  const ManifestHash& hash() const { return hash_; }  ///< BLAKE2b-256 of the body
  const Bytes& wire() const { return wire_; }

  /// The order that decides which version of an object stands: version, then hash.
  bool is_later_than(const SignedManifest& other) const;

 private:
  Manifest manifest_;
  ManifestHash hash_;
  Bytes wire_;
};

}  // namespace zerodb
