// The names that simulated gateways keep in memory are kept as those on the disk are.
#include <random>

#include "store/name_store.hpp"
#include "tests/support/case_seed.hpp"
#include "tests/support/temp_dir.hpp"

using namespace zerodb;
using namespace zerodb::test;

namespace {

/// Two stores of names to which the same happens.
class Names {
 public:
  explicit Names(std::uint64_t seed) : random_(seed) {}

  void step() {
    switch (draw(24)) {
      case 0:
        reopen();
        break;
      case 1:
        if (draw(4) == 0) clear();
        break;
      default:
        write();
        break;
    }
    compare_known();
    compare_page();
    compare_events();
    CHECK(disk_->notes().value() == memory_->notes().value());
  }

 private:
  static constexpr std::size_t objects = 12;

  std::uint64_t draw(std::uint64_t below) { return random_() % below; }

  /// Some begin with others, and some with the same letters.
  static std::string name_of(std::uint64_t object) {
    return std::string(1 + object % 3, 'a') + (object % 2 == 0 ? "/" : "") + std::to_string(object);
  }

  static HashedKey key_of(std::uint64_t object) {
    return hash_to<HashedKey>("test", {as_bytes(name_of(object))});
  }

  /// Of few versions, and two hashes each: the same comes again, and what is as late.
  NameRecord draw_record() {
    const auto object = draw(objects);
    const auto version = 1 + draw(40);
    const auto seal = name_of(object) + std::to_string(version) + (draw(2) == 0 ? "x" : "y");
    const auto hash = hash_to<ManifestHash>("test", {as_bytes(seal)});
    const bool deleted = hash.view()[0] % 4 == 0;
    std::optional<std::int64_t> mtime_ms;
    if (hash.view()[1] % 2 == 0) mtime_ms = hash.view()[2];
    return {.hashed_key = key_of(object),
            .hash = hash,
            .deleted = deleted,
            .entry = {.name = name_of(object),
                      .size = hash.view()[3],
                      .version = Version::at(version),
                      .mtime_ms = mtime_ms}};
  }

  void write() {
    std::vector<NameRecord> records;
    for (auto left = draw(5); left > 0; --left)
      records.push_back(draw_record());
    NameNotes notes;
    if (draw(4) == 0) notes["note " + std::to_string(draw(3))] = Bytes(draw(4), 7);
    if (draw(8) == 0) notes["note " + std::to_string(draw(3))] = std::nullopt;
    now_ms_ += 10'000 + draw(1'000);  // on the disk, ages are looked at every ten seconds
    const NameWrite how{.now_ms = now_ms_,
                        .durable = draw(8) == 0,
                        .bounds = {.count_max = 4 + draw(40), .keep_ms = 20'000 + draw(500'000)}};
    REQUIRE(disk_->write(records, notes, how));
    REQUIRE(memory_->write(records, notes, how));
  }

  void reopen() {
    disk_.reset();
    disk_ = open_name_store(dir_ / "names", key_).value();
  }

  void clear() {
    REQUIRE(disk_->clear());
    REQUIRE(memory_->clear());
  }

  void compare_known() {
    std::vector<HashedKey> keys;
    for (std::uint64_t object = 0; object <= objects; ++object)
      keys.push_back(key_of(object));
    REQUIRE(disk_->known(keys).value() == memory_->known(keys).value());
    for (const auto& key : keys) {
      const auto partition = partition_of(key);
      REQUIRE(disk_->known_in(partition).value() == memory_->known_in(partition).value());
    }
  }

  void compare_page() {
    const ListQuery query{.prefix = std::string(draw(4), 'a'),
                          .after = draw(2) == 0 ? "" : name_of(draw(objects)),
                          .limit = 1 + draw(objects)};
    const auto on_disk = disk_->page(query).value();
    const auto in_memory = memory_->page(query).value();
    REQUIRE(on_disk.entries == in_memory.entries);
    REQUIRE(on_disk.more == in_memory.more);
  }

  void compare_events() {
    EventQuery query{.prefix = std::string(draw(3), 'a'), .limit = 1 + draw(20)};
    query.from = 1 + draw(memory_->events(query).value().log.next + 2);
    const auto on_disk = disk_->events(query).value();
    const auto in_memory = memory_->events(query).value();
    REQUIRE(on_disk.log.oldest == in_memory.log.oldest);
    REQUIRE(on_disk.log.next == in_memory.log.next);
    REQUIRE(on_disk.events == in_memory.events);
    REQUIRE(on_disk.next == in_memory.next);
  }

  std::mt19937_64 random_;
  TempDir dir_;
  Secret<32> key_ = Secret<32>::random();
  std::uint64_t now_ms_ = 1'000;
  std::unique_ptr<NameStore> disk_ = open_name_store(dir_ / "names", key_).value();
  std::unique_ptr<NameStore> memory_ = make_memory_name_store();
};

}  // namespace

TEST_CASE("names: those in memory and those on the disk are alike", "[store]") {
  const auto seed = seed_of_case();
  INFO("run again with SEED=" << seed);
  Names names(seed);
  constexpr int steps = 400;
  for (int step = 0; step < steps; ++step) {
    INFO("step " << step);
    names.step();
  }
}
