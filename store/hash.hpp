#pragma once
// Hashes with one meaning each. Every use names its domain, so that a hash made for one purpose
// never stands for another. Thread-safe: pure functions.

#include <initializer_list>

#include "store/ids.hpp"

namespace zerodb {

/// BLAKE2b-256 (RFC 7693) of `domain` (as the 16-byte personalisation) over the parts in order.
std::array<std::uint8_t, 32> blake2b_256(std::string_view domain,
                                         std::initializer_list<ByteView> parts);

template <class Id32>
Id32 hash_to(std::string_view domain, std::initializer_list<ByteView> parts) {
  return *Id32::from(blake2b_256(domain, parts));
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
