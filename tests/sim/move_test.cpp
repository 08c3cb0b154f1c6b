// Changes of placement while a mesh is used: what was acknowledged can be read at every moment and
// stands in the end, only what must move does, and every node ends with what is placed on it.
#include <catch2/catch.hpp>
#include <map>

#include "node/hand_over.hpp"
#include "tests/node/gateway_mesh.hpp"
#include "tests/sim/sealed_object.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

using std::chrono::minutes;
using std::chrono::seconds;

struct Move {
  explicit Move(std::size_t nodes, sim::SimMeshOptions options = {})
      : mesh(nodes, {.gateway = {}, .mesh = options}) {}

  sim::World& world() { return mesh.mesh.world(); }
  std::string pick_name(std::size_t count) {
    return "name " + std::to_string(world().random_between(0, count - 1));
  }

  void put(std::size_t at, const std::string& name, std::size_t size) {
    const auto number = ++next_number;
    const auto put = mesh.put(at, name, pattern(size, number));
    INFO("putting " << name << (put ? "" : ": " + put.error().what));
    REQUIRE(put.has_value());
    names[name] = std::pair(size, number);
  }

  void remove(std::size_t at, const std::string& name) {
    const auto removed = mesh.remove(at, name);
    INFO("deleting " << name << (removed ? "" : ": " + removed.error().what));
    REQUIRE((removed || removed.error().code == Errc::not_found));
    CHECK(removed.has_value() == names.contains(name));
    names.erase(name);
  }

  void read(std::size_t at, const std::string& name) {
    const auto content = mesh.get(at, name);
    INFO("reading " << name << " at " << at << (content ? "" : ": " + content.error().what));
    const auto expected = names.find(name);
    REQUIRE(content.has_value() == (expected != names.end()));
    if (!content) CHECK(content.error().code == Errc::not_found);
    if (content) CHECK(*content == pattern(expected->second.first, expected->second.second));
  }

  /// As clients of any of the first nodes do.
  void use(int steps, std::size_t name_count, std::size_t gateways = 3) {
    for (int step = 0; step < steps; ++step) {
      const auto at = world().random_between(0, gateways - 1);
      const auto name = pick_name(name_count);
      switch (world().random_between(0, 5)) {
        case 0:
          remove(at, name);
          break;
        case 1:
        case 2:
          put(at, name, world().chance(100) ? 100'000 : 500);
          break;
        case 3:
          world().run_for(Milliseconds(world().random_between(1, 3'000)));
          break;
        default:
          read(at, name);
      }
    }
  }

  /// Everything is right, and exactly where it is placed.
  void check_whole(std::size_t name_count, std::size_t gateways = 3) {
    REQUIRE(mesh.mesh.run_until_moved());
    REQUIRE(mesh.mesh.run_until_quiet());
    REQUIRE(mesh.mesh.run_until_moved());  // the last replica of a put may have come late
    for (std::size_t i = 0; i < name_count; ++i)
      read(world().random_between(0, gateways - 1), "name " + std::to_string(i));
    const Placement placement(mesh.mesh.roster());
    std::map<Partition, std::pair<NodeId, PartitionDigest>> digests;
    for (std::size_t i = 0; i < mesh.mesh.size(); ++i) {
      auto& node = mesh.mesh[i];
      if (mesh.mesh.roster().find(node.id()) == nullptr) continue;
      CHECK(misplaced_in(node.store.sizes(), node.mesh).partitions.empty());
      const auto all = node.store.digests();
      for (std::size_t p = 0; p < partition_count; ++p) {
        const auto partition = static_cast<Partition>(p);
        if (!placement.is_placed(node.id(), partition)) continue;
        const auto [known, is_new] = digests.try_emplace(partition, node.id(), all[p]);
        CHECK(known->second.second == all[p]);
      }
    }
  }

  std::uint64_t bytes_kept(std::size_t node) { return mesh.mesh[node].store.stats().blob_bytes; }
  std::uint64_t bytes_fetched() {
    auto& network = mesh.mesh.network();
    return network.bytes("get_chunk") + network.bytes("get_manifest") + network.bytes("get_leaves");
  }

  GatewayMesh mesh;
  std::map<std::string, std::pair<std::size_t, std::uint32_t>> names;
  std::uint32_t next_number = 0;
};

}  // namespace

TEST_CASE("move: a fourth node takes a quarter of the bytes, and no more than that crosses",
          "[sim]") {
  Move move(3);
  constexpr std::size_t count = 300;
  for (std::size_t i = 0; i < count; ++i)
    move.put(i % 3, "name " + std::to_string(i), 20'000);
  REQUIRE(move.mesh.mesh.run_until_quiet());
  std::uint64_t before = 0;
  for (std::size_t i = 0; i < 3; ++i)
    before += move.bytes_kept(i);
  const auto fetched = move.bytes_fetched();
  move.mesh.mesh.join();
  REQUIRE(move.mesh.mesh.run_until_linked());
  REQUIRE(move.mesh.mesh.run_until_moved());
  const auto share = static_cast<double>(move.bytes_kept(3)) / static_cast<double>(before);
  const auto crossed =
      static_cast<double>(move.bytes_fetched() - fetched) / static_cast<double>(before);
  INFO("share " << share << ", crossed " << crossed);
  CHECK(share == Approx(0.25).margin(0.03));
  CHECK(crossed == Approx(0.25).margin(0.04));  // with manifests and headers
  std::uint64_t after = 0;
  for (std::size_t i = 0; i < 4; ++i)
    after += move.bytes_kept(i);
  CHECK(after == before);
  move.check_whole(count);
}

TEST_CASE("move: a node joins while clients put, get and delete", "[sim]") {
  Move move(3);
  constexpr std::size_t names = 60;
  move.use(120, names);
  move.mesh.mesh.join();
  move.use(120, names);
  move.check_whole(names);
}

TEST_CASE("move: two join at once, one drains and goes, while clients put, get and delete",
          "[sim]") {
  Move move(3);
  constexpr std::size_t names = 40;
  move.use(80, names);
  move.mesh.mesh.join();
  move.mesh.mesh.join();
  REQUIRE(move.mesh.mesh.run_until_linked());
  move.use(60, names, 2);
  const auto leaving = move.mesh.mesh[2].id();
  move.mesh.mesh.change_roster([&](Roster& roster) {
    for (auto& member : roster.members)
      member.draining = member.node == leaving;
  });
  move.use(60, names, 2);
  move.check_whole(names, 2);
  CHECK(move.mesh.mesh[2].store.stats().objects == 0);
  CHECK(move.mesh.mesh[2].store.stats().tombstones == 0);
  move.mesh.mesh.remove(2);
  move.use(40, names, 2);
  move.check_whole(names, 2);
}

TEST_CASE("move: a node that restarts in the middle of a move ends it", "[sim]") {
  Move move(3);
  constexpr std::size_t names = 60;
  move.use(120, names);
  move.mesh.mesh.join();
  for (int i = 0; i < 6; ++i) {
    move.world().run_for(Milliseconds(move.world().random_between(1, 4'000)));
    move.mesh.mesh[move.world().random_between(0, 3)].restart();
  }
  move.use(40, names);
  move.check_whole(names);
}

TEST_CASE("move: while a member is away nothing is dropped, and all can be read", "[sim]") {
  Move move(4);
  constexpr std::size_t names = 40;
  move.use(100, names);
  REQUIRE(move.mesh.mesh.run_until_quiet());
  move.mesh.mesh.down(3);
  move.world().run_for(seconds(10));
  move.mesh.mesh.join();
  REQUIRE(move.mesh.mesh.run_until_linked());
  move.use(60, names);
  CHECK_FALSE(move.mesh.mesh.run_until_moved(minutes(20)));
  CHECK_FALSE(move.mesh.mesh[0].mesh.is_one_in_force());
  for (std::size_t i = 0; i < names; ++i)
    move.read(i % 3, "name " + std::to_string(i));
  move.mesh.mesh.up(3);
  move.check_whole(names);
}

TEST_CASE("move: an upload that began before a roster change holds its end up, and stands",
          "[sim]") {
  Move move(3);
  auto& mesh = move.mesh;
  auto stream = mesh.mesh.run(mesh.gateways[0].put({.name = "large"}));
  REQUIRE(stream);
  const auto content = pattern(3 * chunk_bytes_max + 5, 7);
  const auto chunk = [&](std::size_t at) {
    return Payload::copy_of(
        ByteView(content).subspan(at, std::min<std::size_t>(chunk_bytes_max, content.size() - at)));
  };
  REQUIRE(mesh.mesh.run((*stream)->write(chunk(0))));
  REQUIRE(mesh.mesh.run((*stream)->write(chunk(chunk_bytes_max))));
  mesh.mesh.join();
  CHECK_FALSE(mesh.mesh.run_until_moved(minutes(1)));
  REQUIRE(mesh.mesh.run((*stream)->write(chunk(2 * chunk_bytes_max))));
  REQUIRE(mesh.mesh.run((*stream)->write(chunk(3 * chunk_bytes_max))));
  REQUIRE(mesh.mesh.run((*stream)->finish(content.size())));
  stream->reset();
  CHECK(mesh.mesh.run_until_moved());
  for (std::size_t at = 0; at < 3; ++at)
    CHECK(mesh.get(at, "large") == content);
}

TEST_CASE("move: a download goes on when those it began with hand the object over", "[sim]") {
  Move move(3);
  auto& mesh = move.mesh;
  const auto content = pattern(4 * chunk_bytes_max, 3);
  REQUIRE(mesh.put(0, "film", content));
  auto stream = mesh.open(0, "film");
  REQUIRE(stream);
  const auto part = [&](std::uint64_t offset) {
    return mesh.mesh.run((*stream)->read(offset, chunk_bytes_max));
  };
  REQUIRE(part(0));
  for (int i = 0; i < 3; ++i)
    mesh.mesh.join();
  mesh.mesh.change_roster([](Roster& roster) {
    for (std::size_t i = 0; i < 3; ++i)
      roster.members[i].draining = true;
  });
  REQUIRE(mesh.mesh.run_until_moved());
  CHECK(mesh.mesh[0].store.stats().objects == 0);
  for (std::uint64_t at = chunk_bytes_max; at < content.size(); at += chunk_bytes_max) {
    const auto read = part(at);
    INFO((read ? "" : read.error().what));
    REQUIRE(read);
    CHECK(std::ranges::equal(read->view(), ByteView(content).subspan(at, chunk_bytes_max)));
  }
}

TEST_CASE("move: a node whose disk was lost says nothing of what it lacks until it is whole again",
          "[sim]") {
  Move move(3);
  constexpr std::size_t names = 30;
  move.use(60, names);
  REQUIRE(move.mesh.mesh.run_until_quiet());
  move.mesh.mesh.down(2);  // one of the two left must not be enough to deny anything
  move.world().run_for(seconds(10));
  move.mesh.mesh[1].lose_disk();
  for (std::size_t i = 0; i < names; ++i) {
    const auto name = "name " + std::to_string(i);
    if (move.names.contains(name)) move.read(0, name);
  }
  CHECK_FALSE(move.mesh.mesh[1].mesh.is_whole());
  move.mesh.mesh.up(2);
  move.check_whole(names);
  CHECK(move.mesh.mesh[1].mesh.is_whole());
}
