// The life of a whole mesh, gateways included, as its seed decides: writes and deletes while nodes
// go and come back, processes restart and messages are lost. Whatever was acknowledged must stand.
#include <catch2/catch.hpp>
#include <map>
#include <set>

#include "tests/node/gateway_mesh.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

/// What a name may stand for: the number of a content, or nothing. More than one while the outcome
/// of a write that failed is open.
using Possible = std::set<std::optional<std::uint32_t>>;

std::size_t size_of(std::uint32_t number) {
  constexpr std::size_t sizes[] = {0, 1, 100, 65'536, 65'537, mib, 3 * mib + 5};
  return sizes[number % std::size(sizes)];
}

struct Life {
  /// The clocks agree: a write that failed but reached one node whose clock is ahead would count as
  /// later than what is acknowledged soon after it.
  explicit Life(std::size_t nodes) : mesh(nodes, {.gateway = {}, .mesh = options()}) {}

  static sim::SimMeshOptions options() {
    sim::SimMeshOptions options;
    options.network.drop_per_mille = 5;
    options.network.broadcast_drop_per_mille = 100;
    options.clock_skew_max_ms = 0;
    return options;
  }

  sim::World& world() { return mesh.mesh.world(); }
  std::size_t pick(std::size_t count) { return world().random_between(0, count - 1); }

  void put(std::size_t at, const std::string& name) {
    const auto number = next_number++;
    const bool acknowledged = mesh.put(at, name, pattern(size_of(number), number)).has_value();
    if (acknowledged) names[name].clear();
    names[name].insert(number);
    acknowledgements += acknowledged ? 1 : 0;
  }

  void remove(std::size_t at, const std::string& name) {
    const auto removed = mesh.remove(at, name);
    if (removed) names[name].clear();
    if (!removed && removed.error().code == Errc::not_found) CHECK(names[name].contains({}));
    names[name].insert(std::nullopt);
  }

  /// What a node that reaches the others reads is something that may stand.
  void read(std::size_t at, const std::string& name) {
    REQUIRE(mesh.mesh.run_until_linked());
    INFO("reading " << name << " at node " << at);
    const auto content = mesh.get(at, name);
    if (!content) {
      const auto code = content.error().code;
      INFO(content.error().what);
      CHECK((code != Errc::not_found || names[name].contains({})));
      CHECK(code != Errc::corrupt);
      return;
    }
    CHECK(std::ranges::any_of(names[name], [&](const auto& number) {
      return number && pattern(size_of(*number), *number) == *content;
    }));
  }

  /// Writes within one millisecond, of which a gateway has not heard the other, have no order.
  void act() {
    world().run_for(Milliseconds(1));
    const auto at = pick(mesh.mesh.size());
    const auto name = "name " + std::to_string(pick(6));
    switch (pick(10)) {
      case 0:
        if (!away) mesh.mesh.down(*(away = at));
        break;
      case 1:
      case 2:
        if (away) mesh.mesh.up(*std::exchange(away, std::nullopt));
        break;
      case 3:
        mesh.mesh[at].restart();
        break;
      case 4:
        world().run_for(Milliseconds(world().random_between(1, 20'000)));
        break;
      case 5:
        remove(at, name);
        break;
      case 6:
        if (at != away) read(at, name);
        break;
      default:
        put(at, name);
    }
  }

  void heal() {
    if (away) mesh.mesh.up(*std::exchange(away, std::nullopt));
    mesh.mesh.network().options().drop_per_mille = 0;
    REQUIRE(mesh.mesh.run_until_linked());
    world().run_for(std::chrono::minutes(11));  // a periodic round at the latest
    REQUIRE(mesh.mesh.run_until_quiet());
    for (std::size_t i = 0; i < mesh.mesh.size(); ++i)
      mesh.mesh[i].drop_idle_transfers();
    world().run_for(std::chrono::seconds(1));
  }

  GatewayMesh mesh;
  std::map<std::string, Possible> names;
  std::optional<std::size_t> away;
  std::uint32_t next_number = 1;
  unsigned acknowledgements = 0;
};

}  // namespace

TEST_CASE("mesh: what was acknowledged stands, whatever nodes and messages do", "[sim]") {
  Life life(3);
  for (int i = 0; i < 6; ++i)
    life.names["name " + std::to_string(i)] = {std::nullopt};
  for (int step = 0; step < 80; ++step)
    life.act();
  life.heal();
  for (const auto& [name, possible] : life.names) {
    for (std::size_t at = 0; at < life.mesh.mesh.size(); ++at)
      life.read(at, name);
  }
  for (std::size_t at = 1; at < life.mesh.mesh.size(); ++at) {
    CHECK(life.mesh.mesh[at].store.digests() == life.mesh.mesh[0].store.digests());
  }
  CHECK(life.mesh.uploads() == 0);
  CHECK(life.acknowledgements > 0);
}
