#pragma once
// The names of one owner's objects in byte order, and the latest version known of each object,
// deletions included. One thread.

#include <map>
#include <unordered_map>

#include "node/catalogue.hpp"

namespace zerodb {

/// What the owner can read from a manifest for a listing.
struct Described {
  HashedKey hashed_key;
  ManifestHash hash;
  bool deleted = false;
  ListEntry entry;
};

/// `corrupt` or `denied` if the private part does not open. Any thread.
Result<Described> describe_for_listing(const SignedManifest& manifest, const OwnerKeys& keys);

class NameIndex {
 public:
  /// Ignored unless it is later than what is known of the object.
  void learn(Described described);
  bool is_news(const Entry& entry) const;
  ListPage page(const ListQuery& query) const;

 private:
  struct Known {
    Version version;
    ManifestHash hash;
  };
  bool is_news(const HashedKey& key, Version version, const ManifestHash& hash) const;

  std::map<std::string, ListEntry, std::less<>> names_;
  std::unordered_map<HashedKey, Known, IdHash> known_;
};

}  // namespace zerodb
