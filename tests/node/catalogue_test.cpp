#include "node/catalogue.hpp"

#include <catch2/catch.hpp>

#include "node/entry_codec.hpp"
#include "store/hash.hpp"
#include "tests/node/catalogue_scene.hpp"
#include "tests/sim/sealed_object.hpp"

using namespace zerodb;
using test::gateway_on;
using test::GatewayMesh;
using test::list;
using test::NameDisk;
using test::Names;
using test::names;
using test::pattern;
using test::refusal;

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

TEST_CASE("catalogue: a later page is as complete as a first one", "[gateway]") {
  NameDisk disk;
  GatewayMesh mesh(3);
  auto gateway = gateway_on(mesh, disk);  // another one gave the first page
  for (const auto* name : {"a", "b", "c"})
    REQUIRE(mesh.put(1, name, pattern(10)).has_value());
  const auto after_a = [&] { return mesh.mesh.run(gateway.list({.after = "a"})); };

  SECTION("where no names are learnt yet") {
    CHECK(names(after_a()) == Names{"b", "c"});
  }
  SECTION("where they were lost since the first page") {
    CHECK(names(list(mesh, gateway)) == Names{"a", "b", "c"});
  }
  mesh.mesh.down(1);
  mesh.mesh.down(2);
  disk.failures = 1;  // the names are begun again, and nobody tells of them
  CHECK(refusal(list(mesh, gateway)) == Errc::no_quorum);
  CHECK(disk.cleared == 1);
  CHECK(refusal(after_a()) == Errc::no_quorum);
  mesh.mesh.up(1);
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(names(after_a()) == Names{"b", "c"});
}

TEST_CASE("catalogue: a later page of another gateway has what was stored before the first",
          "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "a", pattern(10)).has_value());
  REQUIRE(names(mesh.list(1)) == Names{"a"});
  mesh.mesh.down(1);
  REQUIRE(mesh.put(0, "b", pattern(10)).has_value());
  mesh.mesh.up(1);
  mesh.mesh.world().run_for(std::chrono::seconds(20));
  REQUIRE(names(mesh.list(0)) == Names{"a", "b"});
  CHECK(names(mesh.list(1, {.after = "a"})) == Names{"b"});
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
  // Either each in a partition of its own, or in one of which this node has less than the others.
  const bool together = GENERATE(false, true);
  std::size_t stored = 0;
  int number = 0;
  const auto next_name = [&] {
    const auto partition = [&] {
      return partition_of(mesh.object(std::to_string(number)).hashed_key);
    };
    const auto first = partition_of(mesh.object("0").hashed_key);
    do {
      ++number;
    } while (together && partition() != first);
    return std::to_string(number);
  };
  for (std::uint64_t after_us = 0; after_us < 8'000; after_us += 200) {
    const auto name = next_name();
    ++stored;
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

TEST_CASE("catalogue: a listing is told the digests that changed, not all", "[gateway]") {
  GatewayMesh mesh(3);
  std::vector<std::size_t> told;
  mesh.mesh.network().on_answer = [&](const NodeId&, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    if (!answer || !std::holds_alternative<peer::GetDigests>(request)) return;
    told.push_back(answer->payload.size());
  };
  const auto settle = [&] { mesh.mesh.world().run_for(std::chrono::seconds(2)); };
  REQUIRE(names(mesh.list(0)).empty());
  REQUIRE(mesh.put(0, "one", pattern(5)));
  settle();
  told.clear();
  REQUIRE(names(mesh.list(0)) == Names{"one"});
  settle();
  CHECK(told == std::vector<std::size_t>{8, 8});  // as was expected of its own put
  mesh.links[1].publishes = false;
  REQUIRE(mesh.put(1, "two", pattern(6)));
  settle();
  told.clear();
  REQUIRE(names(mesh.list(0)) == Names{"one", "two"});
  settle();
  CHECK(told == std::vector<std::size_t>{8 + 1024, 8 + 1024});
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
