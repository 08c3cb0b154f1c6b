#pragma once
// Gateways that list, over a disk for names that outlives them.

#include <catch2/catch.hpp>

#include "node/catalogue.hpp"
#include "tests/node/gateway_mesh.hpp"

namespace zerodb::test {

inline std::vector<std::string> names(const Result<NamePage>& page) {
  REQUIRE(page.has_value());
  std::vector<std::string> names;
  for (const auto& entry : page->entries)
    names.push_back(entry.name);
  return names;
}

inline Errc refusal(const Result<NamePage>& page) {
  REQUIRE_FALSE(page.has_value());
  return page.error().code;
}

using Names = std::vector<std::string>;

/// A disk for names that outlives gateways, and may fail.
struct NameDisk {
  std::shared_ptr<NameStore> store = make_memory_name_store();
  int failures = 0;  ///< this many of the next calls fail
  int opened = 0;
  int cleared = 0;
  bool clear_fails = false;

  OpenNames open();
};

class NamesOnDisk final : public NameStore {
 public:
  explicit NamesOnDisk(NameDisk& disk) : disk_(disk) {}

  Result<std::vector<std::optional<KnownVersion>>> known(
      std::span<const HashedKey> objects) override {
    if (fails()) return fail(Errc::corrupt, "test");
    return disk_.store->known(objects);
  }
  Result<std::vector<KnownObject>> known_in(Partition partition) override {
    if (fails()) return fail(Errc::corrupt, "test");
    return disk_.store->known_in(partition);
  }
  Result<NamePage> page(const ListQuery& query) override {
    if (fails()) return fail(Errc::corrupt, "test");
    return disk_.store->page(query);
  }
  Status write(std::span<const NameRecord> records, const NameNotes& notes,
               const NameWrite& how) override {
    if (fails()) return fail(Errc::io, "test");
    return disk_.store->write(records, notes, how);
  }
  Result<EventPage> events(const EventQuery& query) override { return disk_.store->events(query); }
  Result<NameNotes> notes() override { return disk_.store->notes(); }
  Status clear() override {
    disk_.cleared += 1;
    if (disk_.clear_fails) return fail(Errc::io, "test");
    return disk_.store->clear();
  }

 private:
  bool fails() { return disk_.failures > 0 && disk_.failures-- > 0; }

  NameDisk& disk_;
};

inline OpenNames NameDisk::open() {
  return [this]() -> Result<std::unique_ptr<NameStore>> {
    opened += 1;
    return std::make_unique<NamesOnDisk>(*this);
  };
}

/// Another gateway of the mesh's owner, as after a restart of the node.
inline Gateway gateway_on(GatewayMesh& mesh, NameDisk& disk, std::size_t node = 0) {
  return {mesh.context(node), OwnerKeys(mesh.keys.seed()), {}, disk.open()};
}

inline Result<NamePage> list(GatewayMesh& mesh, Gateway& gateway) {
  return mesh.mesh.run(gateway.list({}));
}

}  // namespace zerodb::test
