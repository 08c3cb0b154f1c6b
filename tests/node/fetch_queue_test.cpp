#include "node/fetch_queue.hpp"

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

#include <catch2/catch.hpp>
#include <sstream>

#include "node/entry_codec.hpp"
#include "store/hash.hpp"
#include "tests/node/gateway_mesh.hpp"
#include "tests/sim/sealed_object.hpp"

using namespace zerodb;
using test::GatewayMesh;

namespace {

Entry made_up_entry() {
  return {.object = {.owner = random_id<OwnerId>(), .hashed_key = random_id<HashedKey>()},
          .version = Version::at(1'000),
          .hash = random_id<ManifestHash>()};
}

}  // namespace

TEST_CASE("fetch queue: what one node tells of and hands out to nobody holds up nobody else's",
          "[gateway]") {
  GatewayMesh mesh(3);
  auto& victim = mesh.mesh[0];
  auto& liar = mesh.mesh[1];
  Bytes page;
  for (int i = 0; i < 1'000; ++i)
    append_entry(page, made_up_entry());
  for (int i = 0; i < 5; ++i) {
    const auto confirm = [&] {
      return call(liar.links, victim.id(), peer::Confirm{}, Payload::copy_of(page),
                  Milliseconds(1'000));
    };
    REQUIRE(mesh.mesh.run(confirm()));
  }
  mesh.mesh.network().silent = liar.id();
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  const auto object = sim::seal_object(
      mesh.keys, {.name = "real", .version = Version::at(victim.runtime.now_ms())});
  keep_in(mesh.mesh[2].store, object);
  mesh.mesh[2].links.publish(object.id(), broadcast::Store{object.manifest.wire()});
  mesh.mesh.world().run_for(std::chrono::seconds(2));
  CHECK(mesh.kept(0, "real"));
}

TEST_CASE("fetch queue: what cannot be had is named, with its holder, and not too often",
          "[gateway]") {
  GatewayMesh mesh(3);
  std::ostringstream log;
  const auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(log);
  spdlog::default_logger()->sinks().push_back(sink);
  std::vector<std::string> keys;
  for (int i = 0; i < 5; ++i) {
    const auto object =
        sim::seal_object(mesh.keys, {.name = "damaged " + std::to_string(i),
                                     .version = Version::at(mesh.mesh[0].runtime.now_ms())});
    keep_in(mesh.mesh[2].store, object);
    mesh.mesh[2].store.damage(object.id(), 0);
    mesh.mesh[2].links.publish(object.id(), broadcast::Store{object.manifest.wire()});
    keys.push_back(object.id().hashed_key.hex());
  }
  mesh.mesh.world().run_for(std::chrono::seconds(50));
  std::erase(spdlog::default_logger()->sinks(), sink);
  const auto said = log.str();
  const auto named = std::ranges::count_if(
      keys, [&](const auto& key) { return said.find("fetch: " + key) != said.npos; });
  CHECK(named >= 1);
  CHECK(named <= 2);  // of two nodes
  CHECK(said.find("which node3") != said.npos);
}

TEST_CASE("fetch queue: only so much of what one node tells of waits", "[gateway]") {
  GatewayMesh mesh(3);
  const auto context = mesh.mesh[0].context();
  const auto queue =
      std::make_shared<FetchQueue>(context, FetchQueueOptions{.backlog_per_node_max = 100});
  const auto tally = std::make_shared<FetchTally>(context.runtime);
  const auto same = made_up_entry();
  for (int i = 0; i < 1'000; ++i)
    queue->want_latest(i % 2 == 0 ? same : made_up_entry(), mesh.mesh[1].id(), tally);
  CHECK(tally->failed() == 900);
  queue->want_latest(made_up_entry(), mesh.mesh[2].id(), tally);
  CHECK(tally->failed() == 900);  // another's lines are not full
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  CHECK(queue->is_idle());
  CHECK(tally->empty() == 101);
}
