#include "node/catalogue.hpp"

#include <catch2/catch.hpp>

#include <array>

#include "node/entry_codec.hpp"
#include "store/hash.hpp"
#include "store/tally.hpp"
#include "tests/node/gateway_mesh.hpp"
#include "tests/sim/sealed_object.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

std::vector<std::string> names(const Result<ListPage>& page) {
  REQUIRE(page.has_value());
  std::vector<std::string> names;
  for (const auto& entry : page->entries)
    names.push_back(entry.name);
  return names;
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
  Result<ListPage> page(const ListQuery& query) override {
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

OpenNames NameDisk::open() {
  return [this]() -> Result<std::unique_ptr<NameStore>> {
    opened += 1;
    return std::make_unique<NamesOnDisk>(*this);
  };
}

/// Another gateway of the mesh's owner, as after a restart of the node.
Gateway gateway_on(GatewayMesh& mesh, NameDisk& disk, std::size_t node = 0) {
  return {mesh.mesh[node].context(), OwnerKeys(mesh.keys.seed()), {}, disk.open()};
}

Result<ListPage> list(GatewayMesh& mesh, Gateway& gateway) {
  return mesh.mesh.run(gateway.list({}));
}

NameRecord record_of(GatewayMesh& mesh, const std::string& name) {
  return {.hashed_key = mesh.keys.hash_name(name),
          .hash = random_id<ManifestHash>(),
          .deleted = false,
          .entry = {.name = name, .size = 1, .version = Version::at(5), .mtime_ms = {}}};
}

}  // namespace

TEST_CASE("catalogue: every gateway lists what any of them stored", "[gateway]") {
  GatewayMesh mesh(3);
  for (std::size_t i = 0; i < 3; ++i)
    mesh.links[i].publishes = false;  // nobody is told
  REQUIRE(mesh.put(0, "b", pattern(10)).has_value());
  REQUIRE(mesh.put(1, "a", pattern(70'000)).has_value());
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(names(mesh.list(i)) == Names{"a", "b"});
  REQUIRE(mesh.put(2, "c", pattern(0)).has_value());
  REQUIRE(mesh.remove(0, "a").has_value());
  REQUIRE(mesh.put(1, "b", pattern(11)).has_value());
  for (std::size_t i = 0; i < 3; ++i) {
    const auto page = mesh.list(i);
    CHECK(names(page) == Names{"b", "c"});
    CHECK(page->entries[0].size == 11);
  }
}

TEST_CASE("catalogue: what all nodes have is not listed by others", "[gateway]") {
  GatewayMesh mesh(3);
  auto& network = mesh.mesh.network();
  Names expected;
  for (int i = 0; i < 30; ++i) {
    expected.push_back("object " + std::to_string(100 + i));
    REQUIRE(mesh.put(static_cast<std::size_t>(i) % 3, expected.back(), pattern(10)).has_value());
  }
  for (int i = 0; i < 10; ++i)
    REQUIRE(mesh.put(1, expected[i], pattern(11)).has_value());
  REQUIRE(mesh.remove(2, expected.back()).has_value());
  expected.pop_back();
  mesh.mesh.world().run_for(std::chrono::seconds(20));  // all copies are made, all is heard of
  const auto before = network.sent("get_entries");
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(names(mesh.list(i)) == expected);
  CHECK(network.sent("get_entries") == before);
}

TEST_CASE("catalogue: what goes from here while it is looked for is learnt elsewhere",
          "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  auto gateway = gateway_on(mesh, disk);  // it knows nothing of what another one puts here
  std::size_t stored = 0;
  for (std::uint64_t after_us = 0; after_us < 8'000; after_us += 200) {
    const auto name = std::to_string(++stored);
    REQUIRE(mesh.put(0, name, pattern(5)).has_value());
    REQUIRE(mesh.mesh.run_until_quiet());
    const auto kept = mesh.kept(0, name).value();
    const std::vector<Entry> latest{
        {.object = kept->object, .version = kept->version, .hash = kept.hash()}};
    mesh.mesh.world().after_us(after_us,
                               [&mesh, latest] { std::ignore = mesh.mesh[0].store.drop(latest); });
    REQUIRE(names(list(mesh, gateway)).size() == stored);
    mesh.mesh.world().run_for(std::chrono::seconds(1));
    CHECK(names(list(mesh, gateway)).size() == stored);
  }
}

TEST_CASE("catalogue: pages follow each other in byte order within a prefix", "[gateway]") {
  GatewayMesh mesh(1);
  for (const std::string name : {"x/3", "x/1", "y", "x/2", "w", "x/\xC3\xA9"}) {
    REQUIRE(mesh.put(0, name, pattern(1)).has_value());
  }
  const auto first = mesh.list(0, {.prefix = "x/", .limit = 3});
  CHECK(names(first) == Names{"x/1", "x/2", "x/3"});
  CHECK(first->more);
  const auto second = mesh.list(0, {.prefix = "x/", .after = "x/3", .limit = 3});
  CHECK(names(second) == Names{"x/\xC3\xA9"});
  CHECK_FALSE(second->more);
  CHECK(names(mesh.list(0, {.prefix = "x/", .after = "a"})).size() == 4);
  CHECK(names(mesh.list(0, {.prefix = "x/", .after = "z"})).empty());
  CHECK(names(mesh.list(0, {.prefix = "nothing"})).empty());
}

TEST_CASE("catalogue: a second listing asks for nothing that has not changed", "[gateway]") {
  GatewayMesh mesh(3);
  for (int i = 0; i < 20; ++i) {
    REQUIRE(mesh.put(0, "object " + std::to_string(i), pattern(5)).has_value());
  }
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(names(mesh.list(1)).size() == 20);
  const auto entries = mesh.mesh.network().sent("get_entries");
  const auto manifests = mesh.mesh.network().sent("get_manifest");
  CHECK(names(mesh.list(1)).size() == 20);
  CHECK(mesh.mesh.network().sent("get_entries") == entries);
  CHECK(mesh.mesh.network().sent("get_manifest") == manifests);
}

TEST_CASE("catalogue: another owner's objects are not listed", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "ours", pattern(5)).has_value());
  Gateway other(mesh.mesh[1].context(), OwnerKeys::generate(), {});
  auto put = mesh.mesh.run(other.put_small({.name = "theirs"}, Payload::copy_of(pattern(5))));
  REQUIRE(put.has_value());
  CHECK(names(mesh.list(1)) == Names{"ours"});
  CHECK(names(mesh.mesh.run(other.list({}))) == Names{"theirs"});
}

TEST_CASE("catalogue: too few nodes are an error, one node less is not", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "one", pattern(5)).has_value());
  mesh.mesh.down(1);
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  REQUIRE(mesh.put(0, "two", pattern(5)).has_value());
  CHECK(names(mesh.list(2)) == Names{"one", "two"});
  mesh.mesh.down(2);
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  const auto page = mesh.list(0);
  REQUIRE_FALSE(page.has_value());
  CHECK(page.error().code == Errc::no_quorum);
  CHECK(page.error().what.find("node3") != std::string::npos);
}

TEST_CASE("catalogue: listings at the same time share their rounds", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "one", pattern(5)).has_value());
  int done = 0;
  const auto before = mesh.mesh.network().sent("get_digests");
  const auto list_once = [](GatewayMesh& of, int& count) -> Task<void> {
    ListQuery everything;
    const auto page = co_await of.gateways[1].list(std::move(everything));
    count += page && page->entries.size() == 1 ? 1 : 0;
  };
  for (int i = 0; i < 50; ++i)
    spawn(mesh.mesh[1].runtime, list_once(mesh, done));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  CHECK(done == 50);
  CHECK(mesh.mesh.network().sent("get_digests") - before <= 4);
}

TEST_CASE("catalogue: what a node lists without proof does not stop a listing", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "real", pattern(5)).has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    if (replier != mesh.mesh[1].id() || !answer) return;
    if (std::holds_alternative<peer::GetDigests>(request)) {
      answer->payload = Payload::copy_of(pattern(partition_count * 16));
    } else if (std::holds_alternative<peer::GetEntries>(request)) {
      auto entries = pattern(104);
      std::ranges::copy(mesh.keys.id().view(), entries.begin());
      answer->payload = Payload::take(std::move(entries));
    }
  };
  CHECK(names(mesh.list(0)) == Names{"real"});
}

TEST_CASE("catalogue: a later version that cannot be had hides no earlier one", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(4);
  REQUIRE(mesh.put(0, "acknowledged", pattern(5)).has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  const auto first = mesh.placed("acknowledged").front();
  const auto odd = mesh.mesh[first].id();
  const auto standing = mesh.kept(first, "acknowledged").value();
  const Entry later{.object = standing->object,
                    .version = {standing->version.value + 1},
                    .hash = random_id<ManifestHash>()};
  const bool is_silent = GENERATE(false, true);  // or lies
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    if (replier != odd || !answer) return;
    if (std::holds_alternative<peer::GetEntries>(request)) {
      Bytes entries;
      append_entry(entries, later);
      answer->payload = Payload::take(std::move(entries));
    } else if (is_silent && std::holds_alternative<peer::GetManifest>(request)) {
      answer = fail(Errc::timeout, "test");
    }
  };
  auto gateway = gateway_on(mesh, disk, mesh.not_placed("acknowledged").front());
  CHECK(names(list(mesh, gateway)) == Names{"acknowledged"});
}

namespace {

/// Versions that one node took and nobody acknowledged: a deletion of "kept", and "added".
struct OnOneNode {
  OnOneNode(GatewayMesh& of, std::size_t on)
      : mesh(of),
        node(on),
        deletion(sim::sign_tombstone(of.keys, "kept",
                                     Version{of.kept(on, "kept").value()->version.value + 1})),
        added(sim::seal_object(of.keys, {.name = "added", .size = 10})) {
    mesh.mesh[node].store.commit_inline(deletion, {}).value();
    sim::keep_in(mesh.mesh[node].store, added);
  }

  /// What the node's disk had is gone.
  void lose() {
    const std::array lost{counted(deletion).entry, counted(added.manifest).entry};
    REQUIRE(mesh.mesh[node].store.drop(lost));
  }

  GatewayMesh& mesh;
  std::size_t node;
  SignedManifest deletion;
  sim::SealedObject added;
};

}  // namespace

TEST_CASE("catalogue: what one node had and lost again hides nothing, and is not listed",
          "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "kept", pattern(5)));
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  auto gateway = gateway_on(mesh, disk);
  CHECK(names(list(mesh, gateway)) == Names{"kept"});
  OnOneNode taken(mesh, 1);
  CHECK(names(list(mesh, gateway)) == Names{"added"});
  taken.lose();
  CHECK(names(list(mesh, gateway)) == Names{"kept"});
  CHECK(disk.cleared == 1);
}

TEST_CASE("catalogue: what a node had that was removed hides nothing, and is not listed",
          "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);  // nothing moves when one leaves
  REQUIRE(mesh.put(0, "kept", pattern(5)));
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  auto gateway = gateway_on(mesh, disk);
  CHECK(names(list(mesh, gateway)) == Names{"kept"});
  const OnOneNode taken(mesh, 1);
  CHECK(names(list(mesh, gateway)) == Names{"added"});
  mesh.mesh.down(1);
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(names(list(mesh, gateway)) == Names{"added"});  // it may come back
  CHECK(disk.cleared == 0);
  mesh.mesh.remove(1);
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(names(list(mesh, gateway)) == Names{"kept"});
}

TEST_CASE("catalogue: what is written, deleted and swept is no loss", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  auto gateway = gateway_on(mesh, disk);
  for (const bool is_told : {true, false}) {
    mesh.links[1].publishes = is_told;
    for (int i = 0; i < 20; ++i) {
      REQUIRE(mesh.put(1, "deleted " + std::to_string(i), pattern(5)));
      CHECK(names(list(mesh, gateway)).size() == 1);
      REQUIRE(mesh.remove(1, "deleted " + std::to_string(i)));
      CHECK(names(list(mesh, gateway)).empty());
    }
    for (std::size_t node = 0; node < 3; ++node) {
      std::vector<Entry> tombstones;
      for (int i = 0; i < 20; ++i) {
        const auto tombstone = mesh.kept(node, "deleted " + std::to_string(i));
        if (tombstone) tombstones.push_back(counted(*tombstone).entry);
      }
      REQUIRE(mesh.mesh[node].store.drop(tombstones));
    }
    CHECK(names(list(mesh, gateway)).empty());
  }
  CHECK(disk.cleared == 0);
}

TEST_CASE("catalogue: after a restart only what changed meanwhile is asked for", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  auto& network = mesh.mesh.network();
  for (int i = 0; i < 40; ++i)
    REQUIRE(mesh.put(0, "object " + std::to_string(i), pattern(5)).has_value());
  {
    auto gateway = gateway_on(mesh, disk);
    CHECK(names(list(mesh, gateway)).size() == 40);
    mesh.mesh.world().run_for(std::chrono::seconds(10));
  }
  const auto before = network.sent("get_entries");
  auto gateway = gateway_on(mesh, disk);
  CHECK(names(list(mesh, gateway)).size() == 40);
  CHECK(network.sent("get_entries") == before);
  REQUIRE(mesh.put(1, "another", pattern(5)).has_value());
  REQUIRE(mesh.remove(2, "object 7").has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(names(list(mesh, gateway)).size() == 40);
  CHECK(network.sent("get_entries") - before <= 4);
  CHECK(disk.cleared == 0);
}

TEST_CASE("catalogue: names that a crash loses are found again", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  const auto put = [&](Gateway& gateway, const std::string& name) {
    REQUIRE(mesh.mesh.run(gateway.put_small({.name = name}, Payload::copy_of(pattern(5)))));
  };
  {
    auto gateway = gateway_on(mesh, disk);
    put(gateway, "a");
    CHECK(names(list(mesh, gateway)) == Names{"a"});
    mesh.mesh.world().run_for(std::chrono::seconds(10));
    put(gateway, "b");
    disk.failures = 1'000;  // what is learnt from here on does not get there
    put(gateway, "c");
  }
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  disk.failures = 0;
  auto gateway = gateway_on(mesh, disk);
  CHECK(names(list(mesh, gateway)) == Names{"a", "b", "c"});
}

TEST_CASE("catalogue: a disk that fails while listing is begun again, unnoticed", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  auto gateway = gateway_on(mesh, disk);
  for (const std::string name : {"a", "b", "c"})
    REQUIRE(mesh.put(1, name, pattern(5)).has_value());
  CHECK(names(list(mesh, gateway)) == Names{"a", "b", "c"});
  disk.failures = 1;  // the page
  CHECK(names(list(mesh, gateway)) == Names{"a", "b", "c"});
  CHECK(disk.cleared == 1);
  REQUIRE(mesh.put(1, "d", pattern(5)).has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  disk.failures = 2;  // looking up, then again
  CHECK(names(list(mesh, gateway)) == Names{"a", "b", "c", "d"});
  CHECK(disk.cleared >= 2);
}

TEST_CASE("catalogue: a disk that always fails is done without", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  disk.failures = 1'000'000;
  disk.clear_fails = true;
  auto gateway = gateway_on(mesh, disk);
  for (const std::string name : {"a", "b"})
    REQUIRE(mesh.put(1, name, pattern(5)).has_value());
  CHECK(names(list(mesh, gateway)) == Names{"a", "b"});
  CHECK(names(list(mesh, gateway)) == Names{"a", "b"});
  CHECK(disk.cleared == 1);
}

TEST_CASE("catalogue: what missed the mesh for most of a day is begun again", "[gateway]") {
  NameDisk disk;
  test::GatewayMeshOptions of_hours;
  of_hours.mesh.node.greeting_interval = std::chrono::minutes(1);
  GatewayMesh mesh(3, of_hours);
  REQUIRE(mesh.put(0, "real", pattern(5)).has_value());
  const auto swept = record_of(mesh, "deleted, and its tombstone swept");
  {
    auto gateway = gateway_on(mesh, disk);
    CHECK(names(list(mesh, gateway)) == Names{"real"});
    REQUIRE(disk.store->write({&swept, 1}, {}).has_value());
    mesh.mesh.world().run_for(std::chrono::seconds(10));
  }
  {
    auto gateway = gateway_on(mesh, disk);
    CHECK(names(list(mesh, gateway)).size() == 2);
    for (int hour = 0; hour < 30; ++hour) {
      mesh.mesh.world().run_for(std::chrono::hours(1));
      gateway.tend();
    }
    mesh.mesh.world().run_for(std::chrono::seconds(10));
  }
  {
    auto gateway = gateway_on(mesh, disk);  // a gateway that was tended has seen every deletion
    CHECK(names(list(mesh, gateway)).size() == 2);
  }
  CHECK(disk.cleared == 0);
  mesh.mesh.world().run_for(std::chrono::hours(21));
  auto gateway = gateway_on(mesh, disk);
  CHECK(names(list(mesh, gateway)) == Names{"real"});
  // While it runs, too, if it could not be tended.
  REQUIRE(disk.store->write({&swept, 1}, {}).has_value());
  CHECK(names(list(mesh, gateway)).size() == 2);
  mesh.mesh.world().run_for(std::chrono::hours(21));
  CHECK(names(list(mesh, gateway)) == Names{"real"});
}

TEST_CASE("catalogue: what is written while it is begun again is in it, or not taken for known",
          "[gateway]") {
  sim::SeededWorld world;
  sim::SimRuntime runtime(world);
  const auto keys = OwnerKeys::generate();
  const auto holder = random_id<NodeId>();
  const auto holders = [&](Partition) { return std::vector{holder}; };
  const auto names = std::make_shared<KnownNames>(runtime, keys.id(), holders, OpenNames(),
                                                  std::chrono::minutes(1), EventBounds{});
  for (int i = 0; i < 50; ++i) {
    const auto record_named = [&](const std::string& name) {
      return NameRecord{.hashed_key = keys.hash_name(name),
                        .hash = random_id<ManifestHash>(),
                        .deleted = false,
                        .entry = {.name = name, .size = 1, .version = Version::at(5)}};
    };
    world.run_for(std::chrono::minutes(2));
    names->learn(record_named("before " + std::to_string(i)));
    spawn(runtime, names->settle());
    spawn(runtime, names->renew());
    world.after_us(5, [&] {
      names->learn(record_named("during"));
      spawn(runtime, names->settle());
    });
    world.run_for(std::chrono::seconds(1));
    const auto page = world.run(names->page({}));
    REQUIRE(page);
    const bool is_listed = std::ranges::any_of(
        page->entries, [](const auto& entry) { return entry.name == "during"; });
    const auto& digest = names->digests_of(holder)[partition_of(keys.hash_name("during"))];
    CHECK(is_listed == (digest != PartitionDigest{}));
  }
}
