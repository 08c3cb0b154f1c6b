#include "node/fetch.hpp"

#include <catch2/catch.hpp>

#include "tests/sim/sealed_object.hpp"
#include "tests/sim/sim_mesh.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using sim::keep_in;
using sim::seal_object;
using sim::SealedObject;

namespace {

/// Node 0 fetches; nodes 1, 2 and 3 may hold things.
struct Scene {
  Scene() : mesh(4) { REQUIRE(mesh.run_until_quiet()); }

  Version now() { return Version::at(mesh[0].runtime.now_ms()); }
  SealedObject seal(std::uint64_t size) {
    return seal_object(owner, {.name = "a name", .size = size, .version = now()});
  }
  Status fetch(const SignedManifest& manifest, std::vector<std::size_t> holders) {
    std::vector<NodeId> nodes;
    for (const auto holder : holders)
      nodes.push_back(mesh[holder].id());
    auto fetched = mesh.run(fetch_version(mesh[0].context(), manifest, std::move(nodes)));
    return fetched ? Status() : fail(std::move(fetched.error()));
  }
  Status fetch(const SealedObject& object, std::vector<std::size_t> holders) {
    return fetch(object.manifest, std::move(holders));
  }
  /// Whether node 0 has the version with all its bytes.
  bool has_whole(const SealedObject& object) {
    const auto latest = mesh[0].store.latest(object.id());
    if (!*latest || (*latest)->hash() != object.manifest.hash()) return false;
    for (std::size_t i = 0; i < object.chunks.size(); ++i) {
      const auto chunk = mesh[0].store.read_chunk(object.manifest, i);
      if (!chunk || to_bytes(chunk->view()) != object.chunks[i]) return false;
    }
    return true;
  }
  bool has_nothing() {
    const auto stats = mesh[0].store.stats();
    return stats.objects == 0 && stats.tombstones == 0 && stats.uploads == 0;
  }
  /// Makes a node's answers to `Request` false.
  template <class Request>
  void make_lie(std::size_t liar, std::function<void(Result<PeerAnswer>&)> lie) {
    auto before = mesh.network().on_answer;
    mesh.network().on_answer = [=, this, id = mesh[liar].id()](const NodeId& replier,
                                                               const peer::Request& request,
                                                               Result<PeerAnswer>& answer) {
      if (before) before(replier, request, answer);
      if (replier != id || !std::holds_alternative<Request>(request)) return;
      ++lies;
      lie(answer);
    };
  }

  sim::SimMesh mesh;
  OwnerKeys owner = OwnerKeys::generate();
  std::size_t lies = 0;
};

void flip_a_bit(Result<PeerAnswer>& answer) {
  if (!answer || answer->payload.empty()) return;
  auto bytes = to_bytes(answer->payload.view());
  bytes[bytes.size() / 2] ^= 1;
  answer->payload = Payload::take(std::move(bytes));
}

void cut_short(Result<PeerAnswer>& answer) {
  if (answer) answer->payload = answer->payload.slice(0, answer->payload.size() / 2);
}

void check_fails(const Status& status, Errc code) {
  REQUIRE_FALSE(status);
  CHECK(to_string(status.error().code) == to_string(code));
}

}  // namespace

TEST_CASE("fetch: an inline object comes from its holder", "[sim]") {
  Scene scene;
  const auto object = scene.seal(5'000);
  keep_in(scene.mesh[1].store, object);
  REQUIRE(scene.fetch(object, {1}));
  CHECK(scene.has_whole(object));
}

TEST_CASE("fetch: a large object comes whole, chunk by chunk", "[sim]") {
  Scene scene;
  const auto object = scene.seal(20 * mib + 3);
  keep_in(scene.mesh[1].store, object);
  REQUIRE(scene.fetch(object, {1}));
  CHECK(scene.has_whole(object));
  CHECK(scene.mesh.network().sent("get_chunk") == object.chunks.size());
}

TEST_CASE("fetch: a tombstone needs no holder", "[sim]") {
  Scene scene;
  const auto tombstone = sim::sign_tombstone(scene.owner, "a name", scene.now());
  REQUIRE(scene.fetch(tombstone, {}));
  CHECK(scene.mesh[0].store.stats().tombstones == 1);
}

TEST_CASE("fetch: what is here already, or later, is not asked for", "[sim]") {
  Scene scene;
  const auto earlier = scene.seal(2 * mib);
  keep_in(scene.mesh[1].store, earlier);
  keep_in(scene.mesh[0].store, earlier);
  REQUIRE(scene.fetch(earlier, {1}));
  const auto later =
      seal_object(scene.owner, {.size = 5, .version = {earlier.manifest->version.value + 1}});
  keep_in(scene.mesh[0].store, later);
  REQUIRE(scene.fetch(earlier, {1}));
  CHECK(scene.has_whole(later));
  CHECK(scene.mesh.network().sent("get_chunk") == 0);
}

TEST_CASE("fetch: a version that only moved on takes its bytes along", "[sim]") {
  Scene scene;
  const auto object = scene.seal(2 * mib);
  keep_in(scene.mesh[0].store, object);
  const auto moved = sim::move_version(scene.owner, object, {object.manifest->version.value + 9});
  REQUIRE(scene.fetch(moved, {1}));  // who has nothing
  CHECK(scene.has_whole(moved));
}

TEST_CASE("fetch: a damaged chunk comes from another holder", "[sim]") {
  Scene scene;
  const auto object = scene.seal(4 * mib);
  for (const std::size_t holder : {1U, 2U})
    keep_in(scene.mesh[holder].store, object);
  scene.mesh[1].store.damage(object.id(), 2);
  REQUIRE(scene.fetch(object, {1, 2}));
  CHECK(scene.has_whole(object));
}

TEST_CASE("fetch: holders with different damage make one whole object", "[sim]") {
  Scene scene;
  const auto object = scene.seal(20 * mib);
  for (const std::size_t holder : {1U, 2U})
    keep_in(scene.mesh[holder].store, object);
  scene.mesh[1].store.damage(object.id(), 2);
  scene.mesh[2].store.damage(object.id(), 18);
  REQUIRE(scene.fetch(object, {1, 2}));
  CHECK(scene.has_whole(object));
}

TEST_CASE("fetch: a holder that lies about chunks is soon left alone", "[sim]") {
  Scene scene;
  const auto lie = GENERATE(flip_a_bit, cut_short);
  const auto object = scene.seal(40 * mib);
  for (const std::size_t holder : {1U, 2U})
    keep_in(scene.mesh[holder].store, object);
  scene.make_lie<peer::GetChunk>(1, lie);
  REQUIRE(scene.fetch(object, {1, 2}));
  CHECK(scene.has_whole(object));
  CHECK(scene.lies <= 8);  // those under way at once
}

TEST_CASE("fetch: a holder that lies about leaves is passed over", "[sim]") {
  Scene scene;
  const auto lie = GENERATE(flip_a_bit, cut_short);
  const auto object = scene.seal(3 * mib);
  for (const std::size_t holder : {1U, 2U})
    keep_in(scene.mesh[holder].store, object);
  scene.make_lie<peer::GetLeaves>(1, lie);
  REQUIRE(scene.fetch(object, {1, 2}));
  CHECK(scene.has_whole(object));
}

TEST_CASE("fetch: a damaged inline object comes from another holder", "[sim]") {
  Scene scene;
  const auto object = scene.seal(1'000);
  for (const std::size_t holder : {1U, 2U})
    keep_in(scene.mesh[holder].store, object);
  scene.mesh[1].store.damage(object.id(), 0);
  REQUIRE(scene.fetch(object, {1, 2}));
  CHECK(scene.has_whole(object));
}

TEST_CASE("fetch: when all holders lie, nothing is kept", "[sim]") {
  Scene scene;
  const auto size = GENERATE(1'000ULL, 3 * mib);
  const auto object = scene.seal(size);
  for (const std::size_t holder : {1U, 2U, 3U}) {
    keep_in(scene.mesh[holder].store, object);
    scene.make_lie<peer::GetChunk>(holder, flip_a_bit);
  }
  check_fails(scene.fetch(object, {1, 2, 3}), Errc::corrupt);
  CHECK(scene.has_nothing());
}

TEST_CASE("fetch: a dead holder is passed over", "[sim]") {
  Scene scene;
  const auto object = scene.seal(GENERATE(1'000ULL, 12 * mib));
  for (const std::size_t holder : {1U, 2U})
    keep_in(scene.mesh[holder].store, object);
  scene.mesh.down(1);  // its link has not noticed yet
  REQUIRE(scene.fetch(object, {1, 2}));
  CHECK(scene.has_whole(object));
}

TEST_CASE("fetch: a holder that dies half-way is replaced", "[sim]") {
  Scene scene;
  const auto object = scene.seal(30 * mib);
  for (const std::size_t holder : {1U, 2U})
    keep_in(scene.mesh[holder].store, object);
  std::size_t answered = 0;
  scene.make_lie<peer::GetChunk>(1, [&](Result<PeerAnswer>&) {
    if (++answered == 10) scene.mesh.down(1);
  });
  REQUIRE(scene.fetch(object, {1, 2}));
  CHECK(scene.has_whole(object));
}

TEST_CASE("fetch: nobody to fetch from, or nobody who has it", "[sim]") {
  Scene scene;
  const auto object = scene.seal(GENERATE(1'000ULL, 3 * mib));
  check_fails(scene.fetch(object, {}), Errc::not_found);
  check_fails(scene.fetch(object, {1, 2}), Errc::not_found);
  CHECK(scene.has_nothing());
}

TEST_CASE("fetch: a holder that fails may have it, whatever the others say", "[sim]") {
  Scene scene;
  const auto object = scene.seal(GENERATE(1'000ULL, 3 * mib));
  const bool in_leaves = GENERATE(true, false);
  keep_in(scene.mesh[1].store, object);
  const auto fail_with = [&](std::size_t node, Errc code) {
    const auto answer_so = [code](Result<PeerAnswer>& answer) { answer = fail(code, "no"); };
    scene.make_lie<peer::GetChunk>(node, answer_so);
    if (in_leaves) scene.make_lie<peer::GetLeaves>(node, answer_so);
  };
  fail_with(1, Errc::timeout);
  check_fails(scene.fetch(object, {1, 2}), Errc::timeout);
  check_fails(scene.fetch(object, {2, 1}), Errc::timeout);
  fail_with(2, Errc::denied);  // which would be believed of a manifest
  check_fails(scene.fetch(object, {1, 2}), Errc::invalid);
}

TEST_CASE("fetch: an own disk that fails ends it with its error", "[sim]") {
  Scene scene;
  const auto object = scene.seal(GENERATE(1'000ULL, 3 * mib));
  keep_in(scene.mesh[1].store, object);
  scene.mesh[0].store.fail_writes(Error{Errc::full, "no space left"});
  check_fails(scene.fetch(object, {1}), Errc::full);
}

TEST_CASE("fetch: more bytes than there is room for are not begun", "[sim]") {
  Scene scene;
  auto manifest = scene.seal(3 * mib).manifest.manifest();
  manifest.size = 1ULL << 45;
  manifest.chunk_count = chunk_count_of(manifest.size, manifest.chunk_bytes);
  check_fails(scene.fetch(SignedManifest::sign(manifest, scene.owner), {1}), Errc::full);
  CHECK(scene.mesh.network().sent("get_leaves") == 0);
}

TEST_CASE("fetch: on a network that loses messages", "[sim]") {
  Scene scene;
  const auto object = scene.seal(12 * mib);
  for (const std::size_t holder : {1U, 2U, 3U})
    keep_in(scene.mesh[holder].store, object);
  scene.mesh.network().options().drop_per_mille = 20;
  REQUIRE(scene.fetch(object, {1, 2, 3}));
  CHECK(scene.has_whole(object));
}

// ------------------------------------------------------------------------------------ the latest

TEST_CASE("fetch: the latest of a holder, in one exchange if it is inline", "[sim]") {
  Scene scene;
  const auto object = scene.seal(1'000);
  keep_in(scene.mesh[1].store, object);
  REQUIRE(scene.mesh.run(fetch_latest(scene.mesh[0].context(), object.id(), scene.mesh[1].id())));
  CHECK(scene.has_whole(object));
  CHECK(scene.mesh.network().sent("get_chunk") == 0);
}

TEST_CASE("fetch: the latest of a holder may be a large object or a tombstone", "[sim]") {
  Scene scene;
  const auto object = scene.seal(3 * mib);
  keep_in(scene.mesh[1].store, object);
  const auto fetch = [&] {
    return scene.mesh.run(fetch_latest(scene.mesh[0].context(), object.id(), scene.mesh[1].id()));
  };
  REQUIRE(fetch());
  CHECK(scene.has_whole(object));
  const auto tombstone =
      sim::sign_tombstone(scene.owner, "a name", {object.manifest->version.value + 1});
  REQUIRE(scene.mesh[1].store.commit_inline(tombstone, {}));
  REQUIRE(fetch());
  CHECK(scene.mesh[0].store.stats().tombstones == 1);
}

TEST_CASE("fetch: a holder's manifest is not believed unseen", "[sim]") {
  Scene scene;
  const auto object = scene.seal(1'000);
  keep_in(scene.mesh[1].store, object);
  const auto answer_with = [&](const Bytes& wire) {
    scene.make_lie<peer::GetManifest>(1, [wire](Result<PeerAnswer>& answer) {
      std::get<peer::GetManifest::Reply>(answer->message).manifest = wire;
    });
  };
  const auto fetch = [&]() -> Status {
    auto fetched =
        scene.mesh.run(fetch_latest(scene.mesh[0].context(), object.id(), scene.mesh[1].id()));
    return fetched ? Status() : fail(std::move(fetched.error()));
  };
  SECTION("a forged one") {
    auto wire = object.manifest.wire();
    wire.back() ^= 1;
    answer_with(wire);
    check_fails(fetch(), Errc::denied);
  }
  SECTION("another object's") {
    const auto other = seal_object(scene.owner, {.name = "other", .version = scene.now()});
    answer_with(other.manifest.wire());
    check_fails(fetch(), Errc::denied);
  }
  SECTION("one of the future") {
    const auto future = Version::at(scene.mesh[0].runtime.now_ms() + 3'600'000);
    answer_with(sim::move_version(scene.owner, object, future).manifest.wire());
    check_fails(fetch(), Errc::invalid);
  }
  CHECK(scene.has_nothing());
}
