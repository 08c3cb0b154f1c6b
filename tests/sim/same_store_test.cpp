// The store that simulated nodes have answers as the one on the disk does, whatever its history: it
// is what all that the simulation finds, or does not find, rests on.
#include <random>

#include "store/tally.hpp"
#include "tests/sim/memory_store.hpp"
#include "tests/store/disk_fixture.hpp"
#include "tests/support/case_seed.hpp"

using namespace zerodb;
using namespace zerodb::test;
using sim::SealedObject;

namespace {

/// How a call ended, as far as both stores must agree on it.
std::string ended(const Result<CommitOutcome>& result) {
  if (!result) return "error " + std::to_string(static_cast<int>(result.error().code));
  return "outcome " + std::to_string(static_cast<int>(result->kind));
}

std::string ended(const Result<SweepReport>& result) {
  return result ? std::to_string(result->versions) + " versions" : "error";
}

std::string ended(const Result<bool>& result) {
  if (!result) return "error";
  return *result ? "whole" : "damaged";
}

/// Two stores to which the same happens.
class Pair {
 public:
  explicit Pair(std::uint64_t seed) : random_(seed) {}

  /// Something drawn happens to both, with the same answers; then both hold the same.
  void step() {
    switch (draw(16)) {
      case 0:
        remove();
        break;
      case 1:
        move();
        break;
      case 2:
      case 3:
        drop();
        break;
      case 4:
        both("sweep", [](Store& store) { return store.sweep(forever); });
        break;
      case 5:
        damage();
        break;
      case 6:
        draw(4) == 0 ? disk_.reopen() : put();
        break;
      default:
        put();
        break;
    }
    compare();
  }

 private:
  static constexpr std::array<std::string_view, 2> names{"a", "b"};
  static constexpr std::uint64_t versions = 8;

  std::uint64_t draw(std::uint64_t below) { return random_() % below; }
  std::string_view draw_name() { return names[draw(names.size())]; }
  Version draw_version() { return Version::at(1 + draw(versions)); }

  Expected draw_expected() {
    if (draw(4) != 0) return std::nullopt;
    return Version::at(draw(versions));
  }

  template <class Act>
  void both(const std::string& what, Act act) {
    INFO(what);
    const auto on_disk = ended(act(*disk_.store));
    REQUIRE(on_disk == ended(act(memory_)));
  }

  /// One of a few sizes; drawn again, it is the same object.
  const SealedObject& draw_object() {
    const auto name = draw_name();
    const auto version = draw_version();
    constexpr std::array<std::uint64_t, 3> sizes{100, 20'000, 100'000};
    const auto [at, is_new] = made_.try_emplace({name, version});
    if (is_new) {
      at->second = sim::seal_object(
          disk_.owner, {.name = name, .size = sizes[draw(sizes.size())], .version = version});
    }
    return *at->second;
  }

  void put() {
    const auto& object = draw_object();
    const auto expected = draw_expected();
    both("put", [&](Store& store) -> Result<CommitOutcome> {
      if (object.manifest->is_inline()) {
        return store.commit_inline(object.manifest, object.chunks.at(0), expected);
      }
      auto upload = store.begin_upload({.binding = object.manifest->binding()}).value();
      for (std::uint64_t i = 0; i < object.chunks.size(); ++i)
        upload->write(i, object.chunks[i]).value();
      return store.commit_upload(*upload, object.manifest, expected);
    });
  }

  void move() {
    const auto moved = sim::move_version(disk_.owner, draw_object(), draw_version());
    const auto expected = draw_expected();
    both("move", [&](Store& store) { return store.commit_version(moved.manifest, expected); });
  }

  void remove() {
    const auto grave = sim::sign_tombstone(disk_.owner, draw_name(), draw_version());
    const auto expected = draw_expected();
    both("remove", [&](Store& store) { return store.commit_inline(grave, {}, expected); });
  }

  std::optional<SignedManifest> draw_latest() {
    return memory_.latest(object_of(draw_name())).value();
  }

  void drop() {
    const auto latest = draw_latest();
    if (!latest) return;
    std::array dropped{counted(*latest).entry};
    if (draw(4) == 0) dropped[0].version = draw_version();
    both("drop", [&](Store& store) { return store.drop(dropped); });
  }

  /// A second time makes it whole again.
  void damage() {
    const auto latest = draw_latest();
    if (!latest || (*latest)->is_tombstone() || (*latest)->is_inline()) return;
    memory_.damage((*latest)->object, 0);
    for (const auto& file : disk_.blob_files()) {
      if (file.filename().string().ends_with((*latest)->blob_id.hex())) flip(file, 5'000);
    }
    both("check", [&](Store& store) { return store.check(*latest); });
  }

  ObjectId object_of(std::string_view name) const {
    return {.owner = disk_.owner.id(), .hashed_key = disk_.owner.hash_name(name)};
  }

  void compare() {
    compare_sums(disk_->stats(), memory_.stats());
    const auto sizes = disk_->sizes();
    const auto sizes_in_memory = memory_.sizes();
    Tally sums;
    for (const auto name : names) {
      const auto object = object_of(name);
      const auto partition = partition_of(object.hashed_key);
      CHECK(hash_of(disk_->latest(object)) == hash_of(memory_.latest(object)));
      CHECK(all_entries(*disk_.store, {.partition = partition}).value() ==
            all_entries(memory_, {.partition = partition}).value());
      CHECK(sizes[partition].objects == sizes_in_memory[partition].objects);
      CHECK(sizes[partition].tombstones == sizes_in_memory[partition].tombstones);
      CHECK(sizes[partition].bytes == sizes_in_memory[partition].bytes);
      if (const auto latest = disk_->latest(object).value()) sums.add(counted(*latest));
    }
    REQUIRE(disk_->digests() == sums.digests());
    REQUIRE(memory_.digests() == sums.digests());
    for (const auto& [key, object] : made_)
      compare_version(object->manifest->binding());
  }

  static void compare_sums(const StoreStats& disk, const StoreStats& memory) {
    CHECK(disk.objects == memory.objects);
    CHECK(disk.tombstones == memory.tombstones);
    CHECK(disk.blob_bytes == memory.blob_bytes);
    CHECK(disk.superseded == memory.superseded);
    CHECK(disk.superseded_bytes == memory.superseded_bytes);
    CHECK(disk.damaged == memory.damaged);
  }

  void compare_version(const ChunkBinding& binding) {
    const auto found = disk_->find(binding.object, binding.blob_id);
    REQUIRE(hash_of(found) == hash_of(memory_.find(binding.object, binding.blob_id)));
    CHECK(disk_->is_damaged(binding) == memory_.is_damaged(binding));
    if (*found) CHECK(disk_->read_chunk(**found, 0).has_value());
  }

  static std::string hash_of(const Result<std::optional<SignedManifest>>& found) {
    if (!found) return found.error().what;
    return *found ? (*found)->hash().hex() : "nothing";
  }

  std::mt19937_64 random_;
  Disk disk_;
  sim::MemoryStore memory_;
  std::map<std::pair<std::string_view, Version>, std::optional<SealedObject>> made_;
};

}  // namespace

TEST_CASE("store: the simulated one and the one on the disk answer alike", "[store]") {
  const auto seed = seed_of_case();
  INFO("run again with SEED=" << seed);
  Pair stores(seed);
  constexpr int steps = 1'000;
  for (int step = 0; step < steps; ++step) {
    INFO("step " << step);
    stores.step();
  }
}
