#pragma once
// The secrets of nodes, owners and the mesh. They live in guarded memory (sodium_malloc), are
// wiped when dropped, and have no printable form but the ones named here. Keys are immutable once
// made, so const access is thread-safe.

#include <array>
#include <memory>
#include <string_view>

#include "store/hash.hpp"

namespace zerodb {

/// `Size` secret bytes in locked, guarded memory. Movable, not copyable, never printed.
template <std::size_t Size>
class Secret {
 public:
  static constexpr std::size_t size = Size;

  Secret();  ///< all zeros
  static Secret random();
  static Result<Secret> from(ByteView bytes);  ///< copies; the caller wipes its own
  Secret clone() const;

  ByteView view() const { return {data_.get(), Size}; }
  MutableBytes mutable_view() { return {data_.get(), Size}; }

 private:
  struct Free {
    void operator()(std::uint8_t* data) const;
  };
  std::unique_ptr<std::uint8_t, Free> data_;
};

using Seed = Secret<32>;        ///< of an Ed25519 pair, or of an owner
using ContentKey = Secret<32>;  ///< seals the chunks of one version
using CurveSecret = Secret<32>;

/// Overwrites `bytes` with zeros in a way the compiler keeps.
void wipe(MutableBytes bytes);

/// Whether two secrets are the same, in a time that does not tell where they differ.
bool is_same_secret(ByteView one, ByteView other);

/// An Ed25519 pair (RFC 8032) grown from a seed.
class SigningKey {
 public:
  explicit SigningKey(const Seed& seed);
  static SigningKey generate() { return SigningKey(Seed::random()); }

  const SignKey& public_key() const { return public_key_; }
  Seed seed() const;  ///< for saving and export
  Signature sign(ByteView message) const;

 private:
  Secret<64> secret_;
  SignKey public_key_;
};

/// True if `signature` over `message` was made by the holder of `signer`. Constant time in the
/// secret-free sense of RFC 8032; refuses small-order keys.
bool verify(ByteView signer, ByteView message, const Signature& signature);

/// A CURVE (Curve25519) pair; the public half is the node's id on the wire.
struct CurvePair {
  NodeId public_key;
  CurveSecret secret;
  static CurvePair generate();
  static CurvePair from_secret(CurveSecret secret);
};

/// What a node is: its id on the wire and the key that signs its records, broadcasts and receipts.
struct NodeKeys {
  CurvePair curve;
  SigningKey sign;
  static NodeKeys generate();
};

/// Everything an owner can do follows from one 32-byte seed (crypto_kdf subkeys: BLAKE2b keyed
/// with the seed, one number each; the numbers are in FORMAT.md).
class OwnerKeys {
 public:
  explicit OwnerKeys(const Seed& seed);
  static OwnerKeys generate() { return OwnerKeys(Seed::random()); }

  const OwnerId& id() const { return id_; }
  Seed seed() const { return seed_.clone(); }
  Signature sign(ByteView message) const { return signing_.sign(message); }

  /// Keyed BLAKE2b-256 of the name: the same on all of the owner's gateways, secret to others.
  HashedKey hash_name(std::string_view name) const;

  const Secret<32>& wrap_key() const { return wrap_key_; }  ///< seals manifests' private part
  const Secret<32>& catalogue_key() const { return catalogue_key_; }  ///< seals local catalogues

 private:
  Seed seed_;
  SigningKey signing_;
  Secret<32> name_key_;
  Secret<32> wrap_key_;
  Secret<32> catalogue_key_;
  OwnerId id_;
};

/// The names people give to objects: 1 to 1024 bytes of UTF-8, anything else is legal.
inline constexpr std::size_t name_bytes_max = 1024;
Status check_name(std::string_view name);

}  // namespace zerodb
