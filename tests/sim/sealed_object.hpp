#pragma once
// Objects as an owner's gateway seals them, for tests that need no gateway. Any thread.

#include <string_view>
#include <vector>

#include "store/store.hpp"

namespace zerodb::sim {

struct SealedObject {
  SignedManifest manifest;
  std::vector<Bytes> chunks;  ///< sealed

  const ObjectId& id() const { return manifest->object; }
};

struct ObjectSpec {
  std::string_view name = "a name";
  std::uint64_t size = 100;
  Version version = Version::at(1'000);
};

/// Random content of `size` bytes, sealed and signed.
SealedObject seal_object(const OwnerKeys& keys, const ObjectSpec& spec);

/// The same sealed bytes under another version.
SealedObject move_version(const OwnerKeys& keys, const SealedObject& object, Version version);

SignedManifest sign_tombstone(const OwnerKeys& keys, std::string_view name, Version version);

/// Puts the object into a store; throws if that does not make it the latest.
void keep_in(Store& store, const SealedObject& object);

}  // namespace zerodb::sim
