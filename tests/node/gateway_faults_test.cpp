// The gateway when nodes are down, slow, full or damaged.
#include <catch2/catch.hpp>

#include "tests/node/gateway_mesh.hpp"
#include "tests/sim/sealed_object.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

void down(GatewayMesh& mesh, std::size_t node) {
  mesh.mesh.down(node);
  mesh.mesh.world().run_for(std::chrono::seconds(10));  // until its links are seen to be down
}

/// A node that fails may do so just after the acknowledgement.
bool none_but(const std::vector<NodeId>& missing, const NodeId& node) {
  return std::ranges::all_of(missing, [&](const NodeId& each) { return each == node; });
}

}  // namespace

TEST_CASE("gateway: with one of three nodes down, writes go on with a warning", "[gateway]") {
  GatewayMesh mesh(3);
  down(mesh, 2);
  for (const std::size_t size : {std::size_t{10}, 3 * mib}) {
    const auto began = mesh.now_ms();
    const auto receipt = mesh.put(0, "still", pattern(size));
    REQUIRE(receipt.has_value());
    CHECK(receipt->copies == 2);
    CHECK(receipt->missing == std::vector{mesh.mesh[2].id()});
    CHECK(mesh.get(1, "still") == pattern(size));
    CHECK(mesh.now_ms() - began < 2'000);
  }
  const auto removed = mesh.remove(1, "still");
  REQUIRE(removed.has_value());
  CHECK(removed->missing == std::vector{mesh.mesh[2].id()});
  CHECK(mesh.error_of_get(0, "still") == Errc::not_found);
}

TEST_CASE("gateway: a node that was down learns what it missed", "[gateway]") {
  GatewayMesh mesh(3);
  down(mesh, 2);
  REQUIRE(mesh.put(0, "missed", pattern(2 * mib)).has_value());
  mesh.mesh.up(2);
  REQUIRE(mesh.mesh.run_until_quiet());
  CHECK(mesh.kept(2, "missed").has_value());
}

TEST_CASE("gateway: a node that is up and misses a write has it soon, also if no broadcast comes",
          "[gateway]") {
  GatewayMesh mesh(4);
  const auto outside = mesh.not_placed("missed").front();
  const auto misses = mesh.placed("missed").back();
  mesh.links[outside].publishes = false;
  mesh.mesh[misses].store.fail_writes(Error{Errc::busy, "too much at once"});
  const auto receipt = mesh.put(outside, "missed", pattern(100));
  REQUIRE(receipt);
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  mesh.mesh[misses].store.fail_writes({});
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(mesh.kept(misses, "missed"));
}

TEST_CASE("gateway: small writes wait for a replica that is far behind, but not for long",
          "[gateway]") {
  GatewayMesh mesh(3);
  mesh.mesh.network().silent = mesh.mesh[2].id();
  const auto write_ms = [&](int count) {
    const auto began = mesh.now_ms();
    for (int i = 0; i < count; ++i) {
      REQUIRE(mesh.put(0, "small", pattern(10)));
      REQUIRE(mesh.remove(0, "small"));
    }
    return mesh.now_ms() - began;
  };
  CHECK(write_ms(250) < 3'500);
  const auto held_up = write_ms(10);  // 512 are under way
  CHECK(held_up > 2'000);
  CHECK(held_up < 3'200);
  CHECK(write_ms(250) < 3'500);
}

TEST_CASE("gateway: with two of three nodes down, writes fail at once and say why", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "before", pattern(10)).has_value());
  mesh.mesh.down(1);
  down(mesh, 2);
  const auto began = mesh.now_ms();
  for (const std::size_t size : {std::size_t{10}, 3 * mib}) {
    const auto put = mesh.put(0, "never", pattern(size));
    REQUIRE_FALSE(put.has_value());
    CHECK(put.error().code == Errc::no_quorum);
    CHECK(put.error().what.find("node2") != std::string::npos);
    CHECK(put.error().what.find("node3") != std::string::npos);
  }
  CHECK(mesh.now_ms() - began < 1'000);
  CHECK(mesh.error_of_get(0, "what nobody ever put") == Errc::no_quorum);
  CHECK(mesh.get(0, "before") == pattern(10));  // better than nothing: it was found
  CHECK(mesh.remove(0, "before").error().code == Errc::no_quorum);
}

TEST_CASE("gateway: a tombstone on one node is no proof that there is no object", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "back", pattern(10)).has_value());
  REQUIRE(mesh.remove(0, "back").has_value());
  REQUIRE(mesh.mesh.run_until_quiet());
  CHECK(mesh.error_of_get(0, "back") == Errc::not_found);
  mesh.mesh.down(0);
  REQUIRE(mesh.put(1, "back", pattern(20)).has_value());
  CHECK(mesh.error_of_get(0, "back") == Errc::no_quorum);
  CHECK(mesh.remove(0, "back").error().code == Errc::no_quorum);
  mesh.mesh.up(0);
  REQUIRE(mesh.mesh.run_until_linked());
  CHECK(mesh.get(0, "back") == pattern(20));
}

TEST_CASE("gateway: a member that left may have held what a silent one holds", "[gateway]") {
  GatewayMesh mesh(5);
  const auto placed = mesh.placed("kept");
  const auto outside = mesh.not_placed("kept").front();
  const auto away = [&](std::size_t node) {
    mesh.mesh.down(node);
    mesh.mesh.world().run_for(std::chrono::seconds(10));
  };
  away(placed[2]);
  REQUIRE(mesh.put(placed[0], "kept", pattern(5)));  // on two of three
  away(placed[0]);
  away(placed[1]);
  mesh.mesh.up(placed[2]);
  REQUIRE(mesh.mesh.run_until_linked());
  mesh.mesh.remove(placed[0]);
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(mesh.error_of_get(placed[2], "kept") == Errc::no_quorum);
  CHECK(mesh.error_of_get(outside, "kept") == Errc::no_quorum);
}

TEST_CASE("gateway: a write is on two nodes, also when a member left that others think is there",
          "[gateway]") {
  GatewayMesh mesh(3);
  mesh.mesh.change_roster([&](Roster& roster) { roster.members[2].draining = true; });
  REQUIRE(mesh.mesh.run_until_moved());
  mesh.mesh.down(2);
  mesh.mesh.down(1);
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  mesh.mesh.remove(1);
  CHECK(mesh.put(0, "alone", pattern(5)).error().code == Errc::no_quorum);
  mesh.mesh.up(2);
  REQUIRE(mesh.mesh.run_until_linked());
  mesh.mesh.world().run_for(std::chrono::seconds(30));
  CHECK(mesh.put(0, "alone", pattern(5)));
}

TEST_CASE("gateway: what a lost store was filled with again is no proof, either", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "back", pattern(10)).has_value());
  REQUIRE(mesh.remove(0, "back").has_value());
  REQUIRE(mesh.mesh.run_until_quiet());
  const auto tombstone = mesh.kept(2, "back");
  REQUIRE(tombstone);
  mesh.mesh.down(2);
  REQUIRE(mesh.put(0, "back", pattern(20)).has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(10));  // nothing is on its way to it any more
  mesh.mesh.down(1);
  mesh.mesh.up(2);
  mesh.mesh[0].store.wipe();
  mesh.mesh[0].mesh.lose_store();
  REQUIRE(mesh.mesh[0].store.commit_inline(*tombstone, {}));  // from the one that missed the put
  CHECK(mesh.error_of_get(0, "back") == Errc::no_quorum);
  mesh.mesh.up(1);
  REQUIRE(mesh.mesh.run_until_linked());
  CHECK(mesh.get(0, "back") == pattern(20));
}

TEST_CASE("gateway: a node dies in the middle of a put and the put completes", "[gateway]") {
  GatewayMesh mesh(3);
  auto stream = mesh.mesh.run(mesh.gateways[0].put({.name = "survivor"}));
  REQUIRE(stream.has_value());
  const auto content = pattern(40 * mib);
  const auto began = mesh.now_ms();
  for (std::size_t at = 0; at < content.size(); at += mib) {
    if (at == 10 * mib) mesh.mesh.down(1);
    const auto chunk = ByteView(content).subspan(at, mib);
    REQUIRE(mesh.mesh.run((*stream)->write(Payload::copy_of(chunk))).has_value());
  }
  const auto receipt = mesh.mesh.run((*stream)->finish(content.size()));
  REQUIRE(receipt.has_value());
  CHECK(receipt->copies == 2);
  CHECK(mesh.now_ms() - began < 10'000);
  CHECK(mesh.get(2, "survivor") == content);
}

TEST_CASE("gateway: a replica that lags is let go and fetches by itself", "[gateway]") {
  GatewayMesh mesh(3);
  mesh.links[0].delays[mesh.mesh[1].id()] = std::chrono::seconds(3);
  const auto content = pattern(40 * mib);
  const auto began = mesh.now_ms();
  const auto receipt = mesh.put(0, "laggard", content);
  REQUIRE(receipt.has_value());
  CHECK(receipt->copies == 2);
  CHECK(receipt->missing == std::vector{mesh.mesh[1].id()});
  CHECK(mesh.now_ms() - began < 5'000);
  CHECK(mesh.gateways[0].counters().sinks_let_go == 1);
  REQUIRE(mesh.mesh.run_until_quiet());
  CHECK(mesh.kept(1, "laggard").has_value());
}

TEST_CASE("gateway: when both other replicas are slow, the put goes at their pace", "[gateway]") {
  GatewayMesh mesh(3);
  mesh.links[0].delays[mesh.mesh[1].id()] = Milliseconds(900);
  mesh.links[0].delays[mesh.mesh[2].id()] = Milliseconds(900);
  const auto receipt = mesh.put(0, "slow", pattern(60 * mib));
  REQUIRE(receipt.has_value());
  CHECK(mesh.gateways[0].counters().sinks_let_go == 0);
}

TEST_CASE("gateway: a later version that stands is taken over", "[gateway]") {
  GatewayMesh mesh(3);
  for (const std::size_t size : {std::size_t{10}, 2 * mib}) {
    // A gateway with a fast clock was here first.
    mesh.mesh[1].runtime.set_clock_skew(30'000);
    REQUIRE(mesh.put(1, "contested", pattern(size, 1)).has_value());
    mesh.mesh[1].runtime.set_clock_skew(0);
    const auto later = mesh.put(0, "contested", pattern(size, 2));
    REQUIRE(later.has_value());
    CHECK(mesh.get(2, "contested") == pattern(size, 2));
  }
  CHECK(mesh.gateways[0].counters().versions_retried > 0);
}

TEST_CASE("gateway: a version that stands on one node only is taken over too", "[gateway]") {
  GatewayMesh mesh(3);
  const auto standing = sim::seal_object(
      mesh.keys, {.name = "alone", .version = Version::at(mesh.mesh[1].runtime.now_ms() + 5'000)});
  REQUIRE(mesh.mesh[1].store.commit_inline(standing.manifest, standing.chunks[0]).has_value());
  REQUIRE(mesh.mesh[2].store.commit_inline(standing.manifest, standing.chunks[0]).has_value());
  REQUIRE(mesh.put(0, "alone", pattern(2 * mib)).has_value());
  CHECK(mesh.get(1, "alone") == pattern(2 * mib));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(mesh.kept(i, "alone")->manifest().size == 2 * mib);
}

TEST_CASE("gateway: a source that is silent for long loses no replica", "[gateway]") {
  GatewayMesh mesh(3);
  const auto content = pattern(3 * mib);
  auto stream = mesh.mesh.run(mesh.gateways[0].put({.name = "slow"}));
  REQUIRE(stream);
  for (std::size_t at = 0; at < content.size(); at += chunk_bytes_max) {
    REQUIRE(mesh.mesh.run(
        (*stream)->write(Payload::copy_of(ByteView(content).subspan(at, chunk_bytes_max)))));
    for (int minute = 0; minute < 5; ++minute) {
      mesh.mesh.world().run_for(std::chrono::minutes(1));
      for (std::size_t node = 0; node < 3; ++node)
        mesh.mesh[node].drop_idle_transfers();
    }
  }
  const auto receipt = mesh.mesh.run((*stream)->finish(content.size()));
  REQUIRE(receipt);
  CHECK(receipt->missing.empty());
  CHECK(mesh.get(1, "slow") == content);
}

TEST_CASE("gateway: a damaged chunk is read from another holder", "[gateway]") {
  GatewayMesh mesh(3);
  const auto content = pattern(3 * mib);
  REQUIRE(mesh.put(0, "hurt", content).has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  mesh.mesh[0].store.damage(mesh.object("hurt"), 1);
  mesh.mesh[1].store.damage(mesh.object("hurt"), 1);
  CHECK(mesh.get(0, "hurt") == content);
  CHECK(mesh.gateways[0].counters().chunks_damaged > 0);
  mesh.mesh[2].store.damage(mesh.object("hurt"), 1);
  CHECK(mesh.error_of_get(0, "hurt") == Errc::corrupt);
}

TEST_CASE("gateway: a damaged inline object is read from another holder", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "small", pattern(100)).has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  mesh.mesh[0].store.damage(mesh.object("small"), 0);
  CHECK(mesh.get(0, "small") == pattern(100));
  mesh.mesh[1].store.damage(mesh.object("small"), 0);
  mesh.mesh[2].store.damage(mesh.object("small"), 0);
  CHECK(mesh.error_of_get(0, "small") == Errc::corrupt);
}

TEST_CASE("gateway: a slow holder is hedged", "[gateway]") {
  GatewayMesh mesh(5);
  const auto content = pattern(3 * mib);
  REQUIRE(mesh.put(0, "hedged", content).has_value());
  REQUIRE(mesh.mesh.run_until_quiet());  // with one holder only there would be nobody to be slow
  const auto reader = mesh.not_placed("hedged").at(0);
  for (const auto node : mesh.placed("hedged")) {
    if (node != mesh.placed("hedged").at(0)) {
      mesh.links[reader].delays[mesh.mesh[node].id()] = std::chrono::seconds(10);
    }
  }
  const auto began = mesh.now_ms();
  CHECK(mesh.get(reader, "hedged") == content);
  CHECK(mesh.now_ms() - began < 5'000);
  CHECK(mesh.gateways[reader].counters().chunks_hedged > 0);
}

TEST_CASE("gateway: chunks come from the nearest holders", "[gateway]") {
  GatewayMesh mesh(5);
  constexpr std::size_t chunks = 40;
  const auto content = pattern(chunks * mib);
  REQUIRE(mesh.put(0, "far", content).has_value());
  REQUIRE(mesh.mesh.run_until_quiet());
  const auto reader = mesh.not_placed("far").at(0);
  const auto far = mesh.mesh[mesh.placed("far").at(0)].id();
  mesh.links[reader].delays[far] = std::chrono::milliseconds(150);  // too soon for a hedge
  std::size_t from_far = 0;
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request, auto&) {
    if (replier == far && std::holds_alternative<peer::GetChunk>(request)) ++from_far;
  };
  CHECK(mesh.get(reader, "far") == content);
  CHECK(from_far < chunks / 4);
}

TEST_CASE("gateway: full disks are told from unreachable nodes", "[gateway]") {
  GatewayMesh mesh(3);
  for (const std::size_t node : {1U, 2U}) {
    mesh.mesh[node].store.fail_writes(Error{Errc::full, "disk full"});
  }
  for (const std::size_t size : {std::size_t{10}, 3 * mib}) {
    const auto put = mesh.put(0, "much", pattern(size));
    REQUIRE_FALSE(put.has_value());
    CHECK(put.error().code == Errc::full);
  }
  mesh.mesh[2].store.fail_writes({});
  const auto put = mesh.put(0, "much", pattern(3 * mib));
  REQUIRE(put.has_value());
  CHECK(put->copies == 2);
  CHECK(none_but(put->missing, mesh.mesh[1].id()));
}

TEST_CASE("gateway: the own disk failing does not stop a put the others take", "[gateway]") {
  GatewayMesh mesh(3);
  mesh.mesh[0].store.fail_writes(Error{Errc::io, "broken"});
  for (const std::size_t size : {std::size_t{10}, 3 * mib}) {
    const auto put = mesh.put(0, "elsewhere", pattern(size));
    REQUIRE(put.has_value());
    CHECK(put->copies == 2);
    CHECK(none_but(put->missing, mesh.mesh[0].id()));
    CHECK(mesh.get(1, "elsewhere") == pattern(size));
  }
}

TEST_CASE("gateway: an object outside its placement is found by broadcast", "[gateway]") {
  GatewayMesh mesh(5);
  const auto object = sim::seal_object(
      mesh.keys, {.name = "stray", .version = Version::at(mesh.mesh[0].runtime.now_ms())});
  const auto outside = mesh.not_placed("stray");
  REQUIRE(mesh.mesh[outside[0]].store.commit_inline(object.manifest, object.chunks[0]).has_value());
  for (const auto node : mesh.placed("stray")) {
    if (node != mesh.placed("stray").at(0)) mesh.mesh.down(node);
  }
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  const auto stream = mesh.open(outside[1], "stray");
  REQUIRE(stream.has_value());
  const auto content = mesh.mesh.run((*stream)->read(0, 1'000));
  REQUIRE(content.has_value());
  CHECK(content->size() == 100);
}

TEST_CASE("gateway: a stale node found by a get is repaired", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "worn", pattern(2 * mib)).has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  mesh.mesh[0].store.wipe();
  CHECK(mesh.get(0, "worn") == pattern(2 * mib));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  CHECK(mesh.kept(0, "worn").has_value());
  CHECK(mesh.gateways[0].counters().read_repairs == 1);
}

TEST_CASE("gateway: what is still on its way to a node is not fetched there by a get",
          "[gateway]") {
  GatewayMesh mesh(3);
  mesh.links[0].delays_of[{"put_commit", mesh.mesh[1].id()}] = std::chrono::seconds(2);
  REQUIRE(mesh.put(0, "coming", pattern(2 * mib)).has_value());
  REQUIRE(mesh.open(1, "coming").has_value());
  CHECK_FALSE(mesh.kept(1, "coming"));
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(mesh.kept(1, "coming"));
  CHECK(mesh.mesh.network().sent("get_leaves") == 0);
}

TEST_CASE("gateway: a lie about the latest version is not believed", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "truth", pattern(10)).has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  const auto stranger = OwnerKeys::generate();
  const auto forged = sim::seal_object(stranger, {.name = "truth"});
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    if (replier != mesh.mesh[1].id() || !answer) return;
    if (!std::holds_alternative<peer::GetManifest>(request)) return;
    std::get<peer::GetManifest::Reply>(answer->message).manifest = forged.manifest.wire();
  };
  CHECK(mesh.get(0, "truth") == pattern(10));
  CHECK(mesh.get(2, "truth") == pattern(10));
}

TEST_CASE("gateway: a node whose store was lost is not counted for a write", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "k", pattern(10)).has_value());
  mesh.mesh[1].mesh.lose_store();
  mesh.mesh.down(2);
  const auto content = pattern(GENERATE(11, 100'000));
  const auto put = mesh.put(0, "k", content);
  REQUIRE_FALSE(put.has_value());
  CHECK(put.error().code == Errc::no_quorum);
  CHECK_THAT(put.error().what, Catch::Contains("its store was lost"));
  mesh.mesh.up(2);
  REQUIRE(mesh.mesh.run_until_linked());
  CHECK(mesh.put(0, "k", content).has_value());
  CHECK(mesh.get(2, "k") == content);
}

namespace {

/// The store is lost in the very turn in which the question begins: of what the node had asked
/// before, no answer comes between.
Task<std::optional<Errc>> lose_store_and_look(GatewayMesh& mesh, bool by_name) {
  mesh.mesh[0].mesh.lose_store();
  if (by_name) {
    const std::string name = "k";
    const auto stream = co_await mesh.gateways[0].get(name);
    if (stream) co_return std::nullopt;
    co_return stream.error().code;
  }
  const ListQuery everything;
  const auto page = co_await mesh.gateways[0].list(everything);
  if (page) co_return std::nullopt;
  co_return page.error().code;
}

}  // namespace

TEST_CASE("gateway: a node that becomes whole while it looks had less when it looked",
          "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.list(0).has_value());  // so that the names are open, and the next one begins at once
  mesh.mesh.down(2);
  const bool by_name = GENERATE(true, false);
  // Its store fills up as soon as the other one has answered the question.
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      const Result<PeerAnswer>&) {
    auto& own = mesh.mesh[0].mesh;
    const bool asked = !by_name || std::holds_alternative<peer::GetManifest>(request);
    if (asked && replier == mesh.mesh[1].id()) std::ignore = own.settle(own.signed_roster().hash());
  };
  const auto code = mesh.mesh.run(lose_store_and_look(mesh, by_name));
  CHECK(code == Errc::no_quorum);
  CHECK(mesh.mesh[0].mesh.is_whole());
}
