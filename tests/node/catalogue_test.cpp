#include "node/catalogue.hpp"

#include <catch2/catch.hpp>

#include "tests/node/gateway_mesh.hpp"

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
