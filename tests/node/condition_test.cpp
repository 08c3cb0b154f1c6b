// Conditional puts and deletes: what is refused, and what writers at the same moment are promised.
#include "node/condition.hpp"

#include <catch2/catch.hpp>

#include "tests/node/gateway_mesh.hpp"
#include "tests/sim/sealed_object.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

PutSpec if_absent(const std::string& name) {
  return {.name = name, .condition = {.absent = true, .version = {}}};
}
PutSpec if_version(const std::string& name, Version version) {
  return {.name = name, .condition = {.absent = false, .version = version}};
}

/// In one message or as a stream, by its size.
Task<Result<WriteReceipt>> put(Gateway& gateway, PutSpec spec, Bytes content) {
  if (content.size() <= inline_bytes_max) {
    co_return co_await gateway.put_small(std::move(spec), Payload::take(std::move(content)));
  }
  auto stream = co_await gateway.put(std::move(spec));
  if (!stream) co_return fail(std::move(stream.error()));
  for (std::size_t at = 0; at < content.size(); at += chunk_bytes_max) {
    const auto bytes = std::min<std::size_t>(chunk_bytes_max, content.size() - at);
    auto taken = co_await (*stream)->write(Payload::copy_of(ByteView(content).subspan(at, bytes)));
    if (!taken) co_return fail(std::move(taken.error()));
  }
  co_return co_await (*stream)->finish(content.size());
}

Result<WriteReceipt> put_at(GatewayMesh& mesh, std::size_t from, PutSpec spec, Bytes content) {
  return mesh.mesh.run(put(mesh.gateways[from], std::move(spec), std::move(content)));
}

/// Each gateway has been told by another node that its clock is right, as by the pings of daemons.
void confirm_clocks(GatewayMesh& mesh) {
  for (std::size_t i = 0; i < mesh.mesh.size(); ++i)
    mesh.gateways[i].on_peer_time(mesh.mesh[i].runtime.now_ms());
}

template <class T>
std::optional<Errc> code_of(const Result<T>& result) {
  return result ? std::nullopt : std::optional(result.error().code);
}

/// Several writers, each through a gateway of its own, at the same moment.
struct Race {
  explicit Race(GatewayMesh& of) : mesh(of) { confirm_clocks(mesh); }

  void start(std::size_t from, PutSpec spec, Bytes content) {
    outcomes.emplace_back();
    spawn(mesh.mesh[from].runtime,
          keep(mesh.gateways[from], std::move(spec), std::move(content), outcomes.back()));
  }
  void finish() {
    const auto all = [&] {
      return std::ranges::all_of(outcomes, [](const auto& one) { return one.has_value(); });
    };
    REQUIRE(mesh.mesh.world().run_until(all, std::chrono::minutes(5)));
  }
  std::size_t winners() const {
    return static_cast<std::size_t>(
        std::ranges::count_if(outcomes, [](const auto& one) { return one->has_value(); }));
  }
  static Task<void> keep(Gateway& gateway, PutSpec spec, Bytes content,
                         std::optional<Result<WriteReceipt>>& outcome) {
    outcome = co_await put(gateway, std::move(spec), std::move(content));
  }

  GatewayMesh& mesh;
  std::deque<std::optional<Result<WriteReceipt>>> outcomes;
};

}  // namespace

TEST_CASE("condition: a put if absent is done once, and again after a delete", "[gateway]") {
  const auto size = GENERATE(as<std::size_t>(), 10, mib);
  GatewayMesh mesh(3);
  REQUIRE(put_at(mesh, 0, if_absent("lock"), pattern(size)).has_value());
  const auto again = put_at(mesh, 1, if_absent("lock"), pattern(size, 2));
  CHECK(code_of(again) == Errc::conflict);
  CHECK(mesh.get(2, "lock") == pattern(size));
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(mesh.uploads() == 0);
  REQUIRE(mesh.remove(2, "lock").has_value());
  CHECK(put_at(mesh, 1, if_absent("lock"), pattern(size, 2)).has_value());
  CHECK(mesh.get(0, "lock") == pattern(size, 2));
}

TEST_CASE("condition: a put of a version is done while that version stands", "[gateway]") {
  const auto size = GENERATE(as<std::size_t>(), 10, mib);
  GatewayMesh mesh(3);
  const auto first = mesh.put(0, "page", pattern(size));
  REQUIRE(first.has_value());
  const auto second = put_at(mesh, 1, if_version("page", first->version), pattern(size, 2));
  REQUIRE(second.has_value());
  CHECK(second->version > first->version);
  const auto third = put_at(mesh, 0, if_version("page", first->version), pattern(size, 3));
  CHECK(code_of(third) == Errc::conflict);
  CHECK_THAT(third.error().what, Catch::Contains(std::to_string(second->version.value)) &&
                                     Catch::Contains(std::to_string(first->version.value)));
  CHECK(mesh.get(2, "page") == pattern(size, 2));
  CHECK(code_of(put_at(mesh, 0, if_version("none", first->version), pattern(size))) ==
        Errc::conflict);
  auto both = if_version("page", second->version);
  both.condition.absent = true;
  CHECK(code_of(put_at(mesh, 0, both, pattern(size))) == Errc::invalid);
}

TEST_CASE("condition: a delete of a version leaves another one alone", "[gateway]") {
  GatewayMesh mesh(3);
  const auto first = mesh.put(0, "page", pattern(10));
  const auto second = mesh.put(1, "page", pattern(20));
  REQUIRE(second.has_value());
  const auto remove = [&](Version version) {
    return mesh.mesh.run(mesh.gateways[2].remove("page", {.only = version}));
  };
  CHECK(code_of(remove(first->version)) == Errc::conflict);
  CHECK(mesh.get(0, "page") == pattern(20));
  CHECK(remove(second->version).has_value());
  CHECK(code_of(remove(second->version)) == Errc::not_found);
}

TEST_CASE("condition: the word of too few nodes is no conflict", "[gateway]") {
  GatewayMesh mesh(3);
  const auto first = mesh.put(0, "page", pattern(10));
  REQUIRE(mesh.put(0, "lock", pattern(10)).has_value());
  REQUIRE(mesh.mesh.run_until_quiet());
  mesh.mesh.down(2);
  const auto second = mesh.put(0, "page", pattern(20));
  REQUIRE(second.has_value());
  REQUIRE(mesh.remove(0, "lock").has_value());
  mesh.mesh.down(0);
  mesh.mesh.down(1);
  mesh.mesh.world().run_for(std::chrono::seconds(10));  // nothing is on its way any more
  mesh.mesh.up(2);
  for (const std::size_t size : {std::size_t{10}, mib}) {
    const auto put = put_at(mesh, 2, if_version("page", second->version), pattern(size));
    CHECK(code_of(put) == Errc::no_quorum);
    CHECK_THAT(put.error().what, Catch::Contains("which version stands") &&
                                     Catch::Contains("node1") && Catch::Contains("node2"));
    CHECK(code_of(put_at(mesh, 2, if_absent("lock"), pattern(size))) == Errc::no_quorum);
  }
  const auto remove = [&](Version version) {
    return mesh.mesh.run(mesh.gateways[2].remove("page", {.only = version}));
  };
  CHECK(code_of(remove(second->version)) == Errc::no_quorum);
  mesh.mesh.up(0);
  mesh.mesh.up(1);
  REQUIRE(mesh.mesh.run_until_linked());
  CHECK(code_of(remove(first->version)) == Errc::conflict);
  CHECK(remove(second->version).has_value());
  CHECK(put_at(mesh, 2, if_absent("lock"), pattern(10)).has_value());
}

TEST_CASE("condition: a stream is refused when it begins, and again when it ends", "[gateway]") {
  GatewayMesh mesh(3);
  auto stream = mesh.mesh.run(mesh.gateways[0].put(if_absent("large")));
  REQUIRE(stream.has_value());
  REQUIRE(mesh.mesh.run((*stream)->write(Payload::copy_of(pattern(mib)))).has_value());
  REQUIRE(mesh.put(1, "large", pattern(10)).has_value());
  CHECK(code_of(mesh.mesh.run((*stream)->finish(mib))) == Errc::conflict);
  stream->reset();
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(mesh.uploads() == 0);
  CHECK(code_of(mesh.mesh.run(mesh.gateways[0].put(if_absent("large")))) == Errc::conflict);
  CHECK(mesh.get(2, "large") == pattern(10));
}

TEST_CASE("condition: of gateways that put at the same moment one wins, and it is what is read",
          "[gateway]") {
  const auto size = GENERATE(as<std::size_t>(), 10, 70'000);
  GatewayMesh mesh(5);
  for (int round = 0; round < 30; ++round) {
    const auto name = "lock" + std::to_string(round);
    Race race(mesh);
    for (std::size_t i = 0; i < mesh.mesh.size(); ++i)
      race.start(i, if_absent(name), pattern(size, static_cast<std::uint32_t>(i)));
    race.finish();
    REQUIRE(race.winners() == 1);
    for (std::size_t i = 0; i < mesh.mesh.size(); ++i) {
      if (!*race.outcomes[i]) {
        INFO((*race.outcomes[i]).error().what);
        CHECK(code_of(*race.outcomes[i]) == Errc::conflict);
        continue;
      }
      CHECK(mesh.get((i + 1) % mesh.mesh.size(), name) ==
            pattern(size, static_cast<std::uint32_t>(i)));
    }
  }
}

TEST_CASE("condition: with links failing at random no two writers win", "[gateway]") {
  GatewayMesh mesh(3);
  auto& world = mesh.mesh.world();
  INFO("SEED=" << world.seed());
  std::size_t won = 0;
  for (int round = 0; round < 60; ++round) {
    const auto name = "lock" + std::to_string(round);
    Race race(mesh);
    for (std::size_t i = 0; i < 3; ++i)
      race.start(i, if_absent(name), pattern(10, static_cast<std::uint32_t>(i)));
    const auto a = world.random_between(0, 2);
    const auto b = (a + world.random_between(1, 2)) % 3;
    world.run_for(Milliseconds(world.random_between(0, 6)));
    mesh.mesh.cut(a, b);
    race.finish();
    CHECK(race.winners() <= 1);
    won += race.winners();
    if (world.chance(500)) world.run_for(std::chrono::seconds(10));
    mesh.mesh.heal(a, b);
    REQUIRE(mesh.mesh.run_until_linked());
  }
  CHECK(won > 10);
}

TEST_CASE("condition: a counter that several gateways count up misses nothing", "[gateway]") {
  GatewayMesh mesh(3);
  auto& world = mesh.mesh.world();
  INFO("SEED=" << world.seed());
  REQUIRE(mesh.put(0, "count", to_bytes(as_bytes("0"))).has_value());
  std::size_t ended = 0;
  const auto count_up = [](GatewayMesh& all, std::size_t at, std::size_t& done) -> Task<void> {
    for (int counted = 0; counted < 15;) {
      auto stream = co_await all.gateways[at].get("count");
      if (!stream) continue;
      auto bytes = co_await (*stream)->read(0, 100);
      if (!bytes) continue;
      const auto text = std::to_string(std::stoi(std::string(as_text(bytes->view()))) + 1);
      auto spec = if_version("count", (*stream)->manifest().version);
      auto stored = co_await put(all.gateways[at], std::move(spec), to_bytes(as_bytes(text)));
      if (stored) ++counted;
      co_await all.mesh[at].runtime.sleep(Milliseconds(all.mesh.world().random_between(0, 20)));
    }
    ++done;
  };
  for (std::size_t i = 0; i < 3; ++i)
    spawn(mesh.mesh[i].runtime, count_up(mesh, i, ended));
  REQUIRE(world.run_until([&] { return ended == 3; }, std::chrono::minutes(30)));
  const auto last = mesh.get(0, "count");
  REQUIRE(last.has_value());
  CHECK(as_text(*last) == "45");
}

TEST_CASE("condition: a later version on one node only is met, and spreads", "[gateway]") {
  GatewayMesh mesh(3);
  const auto first = mesh.put(0, "page", pattern(10));
  REQUIRE(first.has_value());
  REQUIRE(mesh.mesh.run_until_quiet());
  const auto placed = mesh.placed("page");
  const auto unheard = sim::seal_object(
      mesh.keys, {.name = "page",
                  .size = 20,
                  .version = Version::at(mesh.mesh[placed[0]].runtime.now_ms() + 9'000)});
  sim::keep_in(mesh.mesh[placed[0]].store, unheard);
  const auto put = put_at(mesh, placed[1], if_version("page", first->version), pattern(30));
  CHECK(code_of(put) == Errc::conflict);
  mesh.mesh.world().run_for(std::chrono::seconds(30));
  for (const auto node : placed)
    CHECK((*mesh.kept(node, "page")).hash() == unheard.manifest.hash());
}

TEST_CASE("condition: writers that are refused fetch nothing that is on its way", "[gateway]") {
  GatewayMesh mesh(3);
  const auto placed = mesh.placed("large");
  mesh.links[placed[0]].delays_of[{"put_commit", mesh.mesh[placed[2]].id()}] = Milliseconds(2'000);
  Race race(mesh);
  race.start(placed[0], if_absent("large"), pattern(mib));
  for (std::uint32_t i = 1; i < 6; ++i)
    race.start(placed[2], if_absent("large"), pattern(3 * mib, i));
  race.finish();
  CHECK(race.winners() == 1);
  CHECK(race.outcomes.front()->has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(mesh.mesh.network().sent("get_leaves") == 0);
  CHECK(mesh.mesh.network().sent("get_chunk") == 0);
  CHECK(mesh.mesh.network().sent("broadcast store") <=
        2);  // by the winner, and of it by the others
  CHECK(mesh.kept(placed[2], "large").has_value());
}

TEST_CASE("condition: the first node being down, the next one decides", "[gateway]") {
  GatewayMesh mesh(3);
  const auto placed = mesh.placed("lock");
  mesh.mesh.down(placed[0]);
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  Race race(mesh);
  race.start(placed[1], if_absent("lock"), pattern(10, 1));
  race.start(placed[2], if_absent("lock"), pattern(10, 2));
  race.finish();
  CHECK(race.winners() == 1);
}

TEST_CASE("condition: a first node is not passed over while bytes are on their way to it",
          "[gateway]") {
  GatewayMesh mesh(4);
  const auto placed = mesh.placed("large");
  const auto outside = mesh.not_placed("large").front();
  const auto first = mesh.mesh[placed[0]].id();
  std::vector<NodeId> committed;
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      const Result<PeerAnswer>&) {
    const bool commits = std::holds_alternative<peer::PutCommit>(request) ||
                         std::holds_alternative<peer::PutInline>(request);
    if (commits) committed.push_back(replier);
  };
  auto& delays = mesh.links[outside].delays_of;
  // Its chunks are late, or its disk takes its time for as many.
  const auto [slow, size, delay] = GENERATE(table<std::string_view, std::size_t, int>(
      {{"put_chunk", 5 * mib, 2'000}, {"put_commit", 60 * mib, 1'400}}));
  delays[{slow, first}] = Milliseconds(delay);
  REQUIRE(put_at(mesh, outside, if_absent("large"), pattern(size)).has_value());
  REQUIRE_FALSE(committed.empty());
  CHECK(committed.front() == first);
  REQUIRE(mesh.remove(outside, "large").has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  committed.clear();
  delays[{"put_inline", first}] = Milliseconds(500);
  REQUIRE(put_at(mesh, outside, if_absent("large"), pattern(10)).has_value());
  CHECK(committed.front() == first);
}

TEST_CASE("condition: a clock that nobody has confirmed is not tried on the own store",
          "[gateway]") {
  GatewayMesh mesh(3);
  const auto placed = mesh.placed("lock");
  mesh.mesh[placed[0]].runtime.set_clock_skew(3'600'000);
  const auto put = put_at(mesh, placed[0], if_absent("lock"), pattern(10));
  CHECK(code_of(put) == Errc::invalid);
  CHECK_FALSE(mesh.kept(placed[0], "lock"));
}

TEST_CASE("condition: a node whose store was lost does not judge", "[gateway]") {
  GatewayMesh mesh(3);
  const auto placed = mesh.placed("lock");
  mesh.mesh[placed[0]].mesh.lose_store();
  const auto put = put_at(mesh, placed[1], if_absent("lock"), pattern(10));
  REQUIRE(put.has_value());
  CHECK(put->copies == 2);
}
