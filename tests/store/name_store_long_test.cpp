// A catalogue of a million names. Not in the default run:
//   tests_store "[long]"                      what the store alone takes
//   ZERODB_NODE=DIR tests_store "[fill]"      gives a stopped node such names, to time zdb ls with
#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <fstream>

#include "store/hash.hpp"
#include "store/keyfile.hpp"
#include "store/name_store.hpp"
#include "tests/support/temp_dir.hpp"

using namespace zerodb;

namespace {

constexpr std::size_t folders = 10'000;
constexpr std::size_t names_per_folder = 100;
constexpr std::size_t batch = 4'096;

class Stopwatch {
 public:
  double ms() const {
    const auto passed = std::chrono::steady_clock::now() - began_;
    return std::chrono::duration<double, std::milli>(passed).count();
  }

 private:
  std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

std::string folder_name(std::size_t folder) {
  return "photos/album " + std::to_string(100'000 + folder) + "/";
}

NameRecord record(std::size_t folder, std::size_t number) {
  auto name = folder_name(folder) + "IMG_" + std::to_string(10'000 + number) + ".jpg";
  const auto key = hash_to<HashedKey>("test", {as_bytes(name)});
  return {.hashed_key = key,
          .hash = random_id<ManifestHash>(),
          .deleted = false,
          .entry = {.name = std::move(name),
                    .size = 4'000'000 + number,
                    .version = Version::at(1'000 + folder),
                    .mtime_ms = 1'700'000'000'000}};
}

/// In the order of their keys, as a gateway learns them: names come in no order.
void fill(NameStore& store) {
  std::vector<NameRecord> records;
  for (std::size_t i = 0; i < folders * names_per_folder; ++i) {
    const auto mixed = i * 7'368'787 % (folders * names_per_folder);  // each once
    records.push_back(record(mixed / names_per_folder, mixed % names_per_folder));
    if (records.size() < batch) continue;
    REQUIRE(store.write(records, {}).has_value());
    records.clear();
  }
  REQUIRE(store.write(records, {}).has_value());
}

std::uint64_t resident_mib() {
  std::ifstream file("/proc/self/statm");
  std::uint64_t pages = 0;
  file >> pages >> pages;
  return pages * 4'096 >> 20;
}

std::uint64_t bytes_in(const std::filesystem::path& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (entry.is_regular_file()) bytes += entry.file_size();
  }
  return bytes;
}

}  // namespace

TEST_CASE("names: a stopped node's catalogue is filled", "[.][fill]") {
  const char* node = std::getenv("ZERODB_NODE");
  REQUIRE(node != nullptr);
  const std::filesystem::path folder = node;
  const OwnerKeys keys(SeedFile::load(folder / "owner.key", std::nullopt).value());
  const auto names = folder / "catalogue" / keys.id().hex();
  fill(*open_name_store(names, keys.catalogue_key()).value());
}

TEST_CASE("names: a hundred of a million are listed at once", "[.][long]") {
  const test::TempDir dir;
  const auto key = Secret<32>::random();
  const auto before_mib = resident_mib();
  {
    const Stopwatch watch;
    fill(*open_name_store(dir / "names", key).value());
    std::printf("written: %.1f s\n", watch.ms() / 1'000);
  }
  const Stopwatch opening;
  const auto store = open_name_store(dir / "names", key).value();
  std::printf("opened: %.0f ms, %.0f MiB on disk\n", opening.ms(),
              static_cast<double>(bytes_in(dir / "names")) / (1 << 20));
  std::vector<double> times_ms;
  for (std::size_t i = 0; i < 1'000; ++i) {
    const Stopwatch watch;
    const auto page = store->page({.prefix = folder_name(i * 7'919 % folders), .limit = 500});
    times_ms.push_back(watch.ms());
    REQUIRE(page.has_value());
    REQUIRE(page->entries.size() == names_per_folder);
    REQUIRE_FALSE(page->more);
  }
  std::ranges::sort(times_ms);
  std::printf("100 names of a prefix: p50 %.2f ms, p99 %.2f ms; %lu MiB more in memory\n",
              times_ms[500], times_ms[990], resident_mib() - before_mib);
  CHECK(times_ms[990] < 50);
  std::vector<HashedKey> keys;
  for (std::size_t i = 0; i < 4'096; ++i)
    keys.push_back(record(i, 7).hashed_key);
  const Stopwatch looking;
  const auto known = store->known(keys);
  std::printf("4096 of them looked up: %.1f ms\n", looking.ms());
  REQUIRE(known.has_value());
  CHECK(std::ranges::all_of(*known, [](const auto& each) { return each.has_value(); }));
}
