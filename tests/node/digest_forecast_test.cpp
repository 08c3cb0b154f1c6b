#include "node/digest_forecast.hpp"

#include <catch2/catch.hpp>

#include "store/hash.hpp"
#include "store/tally.hpp"

using namespace zerodb;

namespace {

struct Told {
  NameRecord record;
  Entry entry;
  Announced announced() const { return {record.hashed_key, record.known()}; }
};

Told version_of(const OwnerId& owner, const std::string& name, std::uint64_t ms) {
  const auto key = hash_to<HashedKey>("test", {as_bytes(name)});
  const auto hash = random_id<ManifestHash>();
  const auto version = Version::at(ms);
  return {
      .record = {.hashed_key = key,
                 .hash = hash,
                 .deleted = false,
                 .entry = {.name = name, .size = 1, .version = version, .mtime_ms = {}}},
      .entry = {.object = {.owner = owner, .hashed_key = key}, .version = version, .hash = hash}};
}

}  // namespace

TEST_CASE("digest forecast: it says what a store's digests become by what is announced",
          "[gateway]") {
  const auto owner = random_id<OwnerId>();
  const auto names = make_memory_name_store();
  const auto kept = version_of(owner, "kept", 1);
  const auto replaced = version_of(owner, "kept", 2);
  const auto latest = version_of(owner, "kept", 3);
  const auto fresh = version_of(owner, "fresh", 1);
  REQUIRE(names->write(std::vector{kept.record}, {}).has_value());
  Tally tally;
  tally.add({.entry = kept.entry});
  const auto before = tally.digests();

  const std::vector announced{replaced.announced(), kept.announced(), fresh.announced(),
                              latest.announced()};
  const auto changes = forecast(*names, owner, announced);
  REQUIRE(changes.has_value());
  REQUIRE(changes->size() == 2);
  const Counted standing{.entry = kept.entry};
  tally.replace(&standing, {.entry = latest.entry});
  tally.add({.entry = fresh.entry});
  const auto after = tally.digests();
  for (const auto& change : *changes)
    CHECK(changed_by(change, before[change.partition]) == after[change.partition]);
}

TEST_CASE("digest forecast: what is known already changes nothing", "[gateway]") {
  const auto owner = random_id<OwnerId>();
  const auto names = make_memory_name_store();
  const auto older = version_of(owner, "a", 1);
  const auto known = version_of(owner, "a", 2);
  REQUIRE(names->write(std::vector{known.record}, {}).has_value());
  const auto changes = forecast(*names, owner, std::vector{older.announced(), known.announced()});
  REQUIRE(changes.has_value());
  CHECK(changes->empty());
}
