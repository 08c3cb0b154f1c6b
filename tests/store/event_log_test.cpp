// The log of events in a store of names, on disk and in memory.
#include "store/event_log.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cerrno>
#include <fstream>

#include "store/hash.hpp"
#include "store/name_store.hpp"
#include "tests/store/disk_fixture.hpp"
#include "tests/support/failing_disk.hpp"

using namespace zerodb;
using namespace zerodb::test;
namespace fs = std::filesystem;

namespace {

NameRecord stored(const std::string& name, std::uint64_t ms, bool deleted = false) {
  return {.hashed_key = hash_to<HashedKey>("test", {as_bytes(name)}),
          .hash = random_id<ManifestHash>(),
          .deleted = deleted,
          .entry = {.name = name, .size = ms, .version = Version::at(ms), .mtime_ms = -5}};
}
NameRecord deleted(const std::string& name, std::uint64_t ms) {
  return stored(name, ms, true);
}

struct KeptLog {
  TempDir dir;
  Secret<32> key = Secret<32>::random();
  fs::path folder() const { return dir / "owner"; }
  std::unique_ptr<NameStore> open() const { return open_name_store(folder(), key).value(); }

  /// Both kinds of store keep the same contract.
  std::vector<std::unique_ptr<NameStore>> both() const {
    std::vector<std::unique_ptr<NameStore>> stores;
    stores.push_back(open());
    stores.push_back(make_memory_name_store());
    return stores;
  }
};

void learn(NameStore& store, const std::vector<NameRecord>& records, NameWrite how = {}) {
  REQUIRE(store.write(records, {}, how).has_value());
}

EventPage events(NameStore& store, EventQuery query = {}) {
  auto page = store.events(query);
  REQUIRE(page.has_value());
  return std::move(*page);
}

/// "1 +a", "2 -a": sequence, store or deletion, name.
std::vector<std::string> lines(const EventPage& page) {
  std::vector<std::string> lines;
  for (const auto& event : page.events) {
    lines.push_back(std::to_string(event.sequence) + (event.deleted ? " -" : " +") +
                    event.entry.name);
  }
  return lines;
}

using Lines = std::vector<std::string>;

/// While it lives, no more than so many files can be opened.
class FewDescriptors {
 public:
  explicit FewDescriptors(rlim_t more) {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const auto next = ::dup(0);
    REQUIRE(next >= 0);
    ::close(next);
    const rlimit few{.rlim_cur = static_cast<rlim_t>(next) + more, .rlim_max = before_.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &few) == 0);
  }
  ~FewDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  FewDescriptors(const FewDescriptors&) = delete;
  FewDescriptors& operator=(const FewDescriptors&) = delete;

 private:
  rlimit before_{};
};

}  // namespace

TEST_CASE("event log: each version that is news is an event, in the order of versions", "[store]") {
  const KeptLog kept;
  for (const auto& store : kept.both()) {
    const auto again = stored("a", 3);
    learn(*store, {stored("b", 2), again, stored("a", 1), deleted("b", 4), again}, {.now_ms = 77});
    CHECK(lines(events(*store)) == Lines{"1 +a", "2 +b", "3 +a", "4 -b"});
    learn(*store, {again, stored("a", 2), stored("c", 1)});
    const auto page = events(*store);
    CHECK(lines(page) == Lines{"1 +a", "2 +b", "3 +a", "4 -b", "5 +c"});
    CHECK(page.next == 6);
    CHECK(page.log.next == 6);
    CHECK(page.log.oldest == 1);
    CHECK(page.events[0].time_ms == 77);
    CHECK(page.events[2].entry == again.entry);
  }
}

TEST_CASE("event log: a page is bounded, and says where to go on past what it passed over",
          "[store]") {
  const KeptLog kept;
  for (const auto& store : kept.both()) {
    learn(*store, {stored("x/1", 1), stored("y/1", 2), stored("x/2", 3), stored("y/2", 4)});
    auto page = events(*store, {.from = 1, .prefix = "x/", .limit = 1});
    CHECK(lines(page) == Lines{"1 +x/1"});
    CHECK(page.next == 2);
    page = events(*store, {.from = page.next, .prefix = "x/"});
    CHECK(lines(page) == Lines{"3 +x/2"});
    CHECK(page.next == 5);
    CHECK(events(*store, {.from = 2, .prefix = {}, .limit = 0}).next == 2);
    CHECK(events(*store, {.from = 99}).next == 5);
  }
}

TEST_CASE("event log: no more than so many are kept, and none that is older", "[store]") {
  const KeptLog kept;
  for (const auto& store : kept.both()) {
    const EventBounds three{.count_max = 3, .keep_ms = 1'000'000};
    for (std::uint64_t i = 1; i <= 5; ++i)
      learn(*store, {stored("n", i)},
            {.now_ms = 1'000'000 * i, .bounds = {.count_max = 3, .keep_ms = 9'000'000}});
    auto page = events(*store);
    CHECK(lines(page) == Lines{"3 +n", "4 +n", "5 +n"});
    CHECK(page.log.oldest == 3);
    learn(*store, {}, {.now_ms = 5'500'000, .bounds = three});
    CHECK(lines(events(*store)) == Lines{"5 +n"});
    learn(*store, {}, {.now_ms = 99'000'000, .bounds = three});
    page = events(*store);
    CHECK(page.events.empty());
    CHECK(page.log.oldest == 6);
    CHECK(page.log.next == 6);
    learn(*store, {stored("n", 6)}, {.now_ms = 99'000'000, .bounds = three});
    CHECK(lines(events(*store)) == Lines{"6 +n"});
  }
}

TEST_CASE("event log: it goes on after a restart, even when all events are gone", "[store]") {
  const KeptLog kept;
  const EventBounds day{.count_max = 10, .keep_ms = 86'400'000};
  auto store = kept.open();
  learn(*store, {stored("a", 1), stored("b", 2)}, {.now_ms = 1, .bounds = day});
  const auto epoch = events(*store).log.epoch;
  store.reset();
  store = kept.open();
  CHECK(lines(events(*store)) == Lines{"1 +a", "2 +b"});
  learn(*store, {}, {.now_ms = 86'500'000, .bounds = day});
  store.reset();
  store = kept.open();
  const auto page = events(*store);
  CHECK(page.log.epoch == epoch);
  CHECK(page.log.oldest == 3);
  CHECK(page.log.next == 3);
}

TEST_CASE("event log: a crash leaves a name and its event, or neither", "[store]") {
  const KeptLog kept;
  const auto store = kept.open();
  for (std::uint64_t i = 1; i <= 4; ++i) {
    learn(*store, {stored("n" + std::to_string(i), i)}, {.now_ms = i, .durable = i % 2 == 0});
    const KeptLog crashed{.dir = {}, .key = kept.key.clone()};
    fs::copy(kept.folder(), crashed.folder(), fs::copy_options::recursive);
    const auto after = crashed.open();
    const auto names = after->page({});
    REQUIRE(names.has_value());
    CHECK(names->entries.size() == i);
    CHECK(events(*after).events.size() == i);
  }
}

TEST_CASE("event log: a file that a power cut left empty is no reason to begin anew", "[store]") {
  const KeptLog kept;
  auto store = kept.open();
  learn(*store, {stored("a", 1), stored("b", 2)}, {.durable = true});
  const auto epoch = events(*store).log.epoch;
  store.reset();
  kept.open();  // begins another log
  const KeptLog cut{.dir = {}, .key = kept.key.clone()};
  fs::copy(kept.folder(), cut.folder(), fs::copy_options::recursive);
  SECTION("the latest log") {
    fs::path latest;
    for (const auto& file : fs::directory_iterator(cut.folder()))
      if (file.path().extension() == ".log") latest = std::max(latest, file.path());
    const auto left = GENERATE(0U, 1U, 63U);
    fs::resize_file(latest, left);
  }
  SECTION("a table that was being made") {
    std::ofstream(cut.folder() / "000999.sst");
  }
  const auto after = cut.open();
  CHECK(events(*after).log.epoch == epoch);
  CHECK(lines(events(*after)) == Lines{"1 +a", "2 +b"});
}

TEST_CASE("event log: what keeps it from being opened now does not empty it", "[store]") {
  const KeptLog kept;
  auto store = kept.open();
  learn(*store, {stored("a", 1)}, {.durable = true});
  const auto epoch = events(*store).log.epoch;
  store.reset();
  const auto refused = [&] { return error_of(open_name_store(kept.folder(), kept.key)); };
  SECTION("a disk that fails") {
    const FailingDisk failing({.sync_error = EIO});
    CHECK(refused() == Errc::io);
  }
  SECTION("a full disk") {
    const FailingDisk failing({.sync_error = ENOSPC});
    CHECK(refused() == Errc::full);
  }
  SECTION("a list of files that cannot be looked at") {
    const auto current = kept.folder() / "CURRENT";
    fs::rename(current, kept.dir / "CURRENT");
    fs::create_symlink("CURRENT", current);  // too many links to follow
    CHECK(refused() == Errc::io);
    fs::rename(kept.dir / "CURRENT", current);
  }
  SECTION("too few descriptors") {
    for (rlim_t more = 1; more < 8; ++more) {
      std::optional<Errc> error;
      {
        const FewDescriptors few(more);
        error = refused();
      }
      CHECK(error.value_or(Errc::io) == Errc::io);  // which takes descriptors, if UBSan looks on
    }
  }
  store = kept.open();
  CHECK(events(*store).log.epoch == epoch);
  CHECK(lines(events(*store)) == Lines{"1 +a"});
}

TEST_CASE("event log: what is begun anew has another epoch", "[store]") {
  const KeptLog kept;
  for (const auto& store : kept.both()) {
    learn(*store, {stored("a", 1)});
    const auto before = events(*store).log;
    REQUIRE(store->clear().has_value());
    const auto after = events(*store).log;
    CHECK(after.epoch != before.epoch);
    CHECK(after.next == 1);
  }
}

TEST_CASE("event log: an event comes back as it was written, anything else is refused", "[store]") {
  const LoggedEvent event{.sequence = 9,
                          .time_ms = 7,
                          .deleted = true,
                          .entry = {.name = "a\nb", .size = 3, .version = Version::at(4)}};
  const auto value = encode_event(event);
  CHECK(decode_event(9, as_bytes(value)).value() == event);
  CHECK_FALSE(decode_event(9, as_bytes(value).first(20)).has_value());
  auto strange = value;
  strange[24] = 8;
  CHECK_FALSE(decode_event(9, as_bytes(strange)).has_value());
  strange[24] = 2;  // says that a time follows, for which there is no room
  CHECK_FALSE(decode_event(9, as_bytes(strange)).has_value());
}
