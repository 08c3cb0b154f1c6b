// Being asked for proofs: what is answered, what is refused, and how much of it there may be.
#include "node/prove.hpp"

#include <catch2/catch.hpp>
#include <numeric>

#include "tests/sim/sealed_object.hpp"
#include "tests/sim/sim_mesh.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;

namespace {

struct ProveScene {
  explicit ProveScene(ReplicaOptions options = {}, std::uint64_t size = 3 * mib)
      : mesh(1, {.network = {}, .node = {.replica = options, .reconcile = {}}, .zones = {}}),
        object(sim::seal_object(owner, {.size = size, .version = Version::at(5'000)})) {
    sim::keep_in(mesh[0].store, object);
  }

  peer::Prove question(std::vector<std::uint64_t> indices) const {
    return {.owner = object.id().owner,
            .hashed_key = object.id().hashed_key,
            .blob_id = object.manifest->blob_id,
            .nonce = nonce,
            .indices = std::move(indices)};
  }
  Result<PeerAnswer> ask(peer::Prove request) {
    return mesh.run(mesh[0].replica->prove(asker, std::move(request)));
  }
  void refuses(std::vector<std::uint64_t> indices) {
    const auto answer = ask(question(std::move(indices)));
    REQUIRE_FALSE(answer);
    CHECK(to_string(answer.error().code) == to_string(Errc::invalid));
  }

  sim::SimMesh mesh;  // first, as it starts the crypto
  OwnerKeys owner = OwnerKeys::generate();
  sim::SealedObject object;
  NodeId asker = random_id<NodeId>();
  peer::ProofNonce nonce = random_id<peer::ProofNonce>();
};

const peer::Prove::Reply& reply_in(const Result<PeerAnswer>& answer) {
  REQUIRE(answer);
  return std::get<peer::Prove::Reply>(answer->message);
}

}  // namespace

TEST_CASE("prove: hashes nonce, prover, index and sealed bytes, as PROTOCOL.md says", "[prove]") {
  ProveScene scene;
  const auto answer = scene.ask(scene.question({0, 2}));
  CHECK(reply_in(answer).manifest == scene.object.manifest.wire());
  Bytes expected;
  for (const auto index : std::initializer_list<std::uint8_t>{0, 2}) {
    const std::array<std::uint8_t, 8> number{0, 0, 0, 0, 0, 0, 0, index};
    const auto hash = blake2b_256("zerodb proof", {scene.nonce.view(), scene.mesh[0].id().view(),
                                                   number, scene.object.chunks[index]});
    expected.insert(expected.end(), hash.begin(), hash.end());
  }
  CHECK(to_bytes(answer->payload.view()) == expected);
}

TEST_CASE("prove: questions out of bounds are refused", "[prove]") {
  ProveScene scene;
  scene.refuses({});
  scene.refuses({3});
  scene.refuses({0, 1ULL << 40});
  scene.refuses({~std::uint64_t{0}});
  scene.refuses({1, 1});
  scene.refuses({2, 1});
  CHECK(scene.ask(scene.question({0, 1, 2})));
}

TEST_CASE("prove: more than sixteen chunks at once are refused", "[prove]") {
  ProveScene scene(ReplicaOptions{}, 17 * mib);
  std::vector<std::uint64_t> many(17);
  std::iota(many.begin(), many.end(), 0);
  scene.refuses(many);
  many.pop_back();
  CHECK(scene.ask(scene.question(many)));
}

TEST_CASE("prove: without the blob, what stands in its place is shown", "[prove]") {
  ProveScene scene;
  auto other = scene.question({0});
  other.blob_id = random_id<BlobId>();
  const auto instead = scene.ask(other);
  CHECK(reply_in(instead).manifest == scene.object.manifest.wire());
  CHECK(instead->payload.empty());
  other.hashed_key = random_id<HashedKey>();
  const auto nothing = scene.ask(other);
  CHECK_FALSE(reply_in(nothing).manifest.has_value());
  CHECK(nothing->payload.empty());
}

TEST_CASE("prove: one asker can have few proofs under way, and all together some more", "[prove]") {
  ProveScene scene(ReplicaOptions{.proofs_max = 3, .proofs_per_asker_max = 2});
  std::size_t busy = 0;
  std::size_t done = 0;
  const auto one = [](ProveScene& of, NodeId from, peer::Prove question, std::size_t& refused,
                      std::size_t& ended) -> Task<void> {
    auto answer = co_await of.mesh[0].replica->prove(from, std::move(question));
    refused += !answer && answer.error().code == Errc::busy ? 1 : 0;
    ended += 1;
  };
  const auto ask_at_once = [&](std::size_t askers, std::size_t each) {
    busy = done = 0;
    for (std::size_t asker = 0; asker < askers; ++asker) {
      const auto from = random_id<NodeId>();
      for (std::size_t i = 0; i < each; ++i)
        spawn(scene.mesh[0].runtime, one(scene, from, scene.question({0, 1, 2}), busy, done));
    }
    const auto all = askers * each;
    REQUIRE(scene.mesh.world().run_until([&] { return done == all; }, std::chrono::minutes(1)));
    return all - busy;
  };
  CHECK(ask_at_once(1, 5) == 2);
  CHECK(ask_at_once(5, 1) == 3);
  CHECK(ask_at_once(1, 2) == 2);  // nothing was left counted
}

TEST_CASE("prove: bytes that are gone are told, and looked into", "[prove]") {
  std::optional<ChunkBinding> told;
  ProveScene scene(
      ReplicaOptions{.on_damage = [&](const ChunkBinding& binding) { told = binding; }});
  scene.mesh[0].store.lose(scene.object.id());
  const auto answer = scene.ask(scene.question({1}));
  REQUIRE_FALSE(answer);
  CHECK(to_string(answer.error().code) == to_string(Errc::corrupt));
  REQUIRE(told);
  CHECK(told->blob_id == scene.object.manifest->blob_id);
}
