#pragma once
// Hashes with one meaning each. Every use names its domain, so that a hash made for one purpose
// never stands for another. Thread-safe: pure functions.

#include <initializer_list>

#include "store/ids.hpp"

namespace zerodb {

/// A domain as BLAKE2b takes it: zero-padded to 16 bytes. Domains are constants of ours, no longer.
std::array<std::uint8_t, 16> personal_of(std::string_view domain);

/// BLAKE2b-256 (RFC 7693) of `domain` (as the 16-byte personalisation) over the parts in order.
std::array<std::uint8_t, 32> blake2b_256(std::string_view domain,
                                         std::initializer_list<ByteView> parts);

template <class Id32>
Id32 hash_to(std::string_view domain, std::initializer_list<ByteView> parts) {
  return *Id32::from(blake2b_256(domain, parts));
}

/// The same under a secret key of 32 bytes.
std::array<std::uint8_t, 32> keyed_blake2b_256(std::string_view domain, ByteView key,
                                               ByteView message);

template <class Id32>
Id32 keyed_hash_to(std::string_view domain, ByteView key, ByteView message) {
  return *Id32::from(keyed_blake2b_256(domain, key, message));
}

/// SipHash-2-4 with a fixed public key: spreads partitions over nodes, protects nothing.
std::uint64_t placement_hash(std::initializer_list<ByteView> parts);

/// Cryptographically secure random bytes.
void fill_random(MutableBytes out);

template <class AnyId>
AnyId random_id() {
  AnyId id;
  fill_random(id.mutable_view());
  return id;
}

/// Must be called once before anything else of zerodb; fails only if the machine has no entropy.
Status initialise_crypto();

}  // namespace zerodb
