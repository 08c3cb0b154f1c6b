// Proofs of holding: honest nodes, damaged ones, and those that lie about it.
#include "node/verify.hpp"

#include <catch2/catch.hpp>

#include "node/prove.hpp"
#include "tests/node/gateway_mesh.hpp"
#include "tests/sim/sealed_object.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

/// A mesh of gateways in which every node holds the object "it", of several chunks.
struct VerifyScene {
  explicit VerifyScene(std::size_t size = 3 * mib + 5, std::size_t nodes = 3) : mesh(nodes) {
    for (auto& link : mesh.links)
      link.publishes = false;  // what is wrong stays so
    REQUIRE(mesh.put(0, "it", pattern(size)));
    REQUIRE(mesh.mesh.run_until_quiet());
    placed = mesh.placed("it");
  }

  Result<Verification> verify(std::size_t at = 0) {
    return mesh.mesh.run(mesh.gateways[at].verify("it"));
  }
  /// What the node number `node` turned out to do, as gateway `at` sees it.
  NodeProof result_of(std::size_t node, std::size_t at = 0) {
    const auto verification = verify(at);
    REQUIRE(verification);
    for (const auto& proof : verification->nodes) {
      if (proof.node == mesh.mesh[node].id()) return proof;
    }
    FAIL("the node was not asked");
    return {};
  }
  /// Of all nodes but `one`, which are honest: no lie of one node tells against another.
  void check_others_hold(std::size_t one, std::size_t at = 0) {
    const auto verification = verify(at);
    REQUIRE(verification);
    CHECK(verification->nodes.size() == 3);
    for (const auto& proof : verification->nodes) {
      if (proof.node != mesh.mesh[one].id()) CHECK(proof.holding == Holding::holds);
    }
  }
  template <class Lie>
  void make_lie(std::size_t node, Lie lie) {
    const auto liar = mesh.mesh[node].id();
    mesh.mesh.network().on_answer = [liar, lie](const NodeId& replier, const peer::Request& request,
                                                Result<PeerAnswer>& answer) {
      const auto* asked = std::get_if<peer::Prove>(&request);
      if (replier == liar && asked != nullptr) lie(*asked, answer);
    };
  }

  GatewayMesh mesh;
  std::vector<std::size_t> placed;
};

}  // namespace

TEST_CASE("verify: nodes that hold an object prove it, whatever its size", "[verify]") {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, std::size_t{65'536}, 65'537 * std::size_t{1}, 20 * mib}) {
    VerifyScene scene(size);
    const auto verification = scene.verify(1);
    REQUIRE(verification);
    CHECK(verification->size == size);
    CHECK(verification->chunks_asked == std::min<std::uint64_t>(verification->chunks, 16));
    CHECK_FALSE(verification->moving);
    REQUIRE(verification->nodes.size() == 3);
    for (const auto& proof : verification->nodes) {
      CHECK(proof.holding == Holding::holds);
      CHECK(proof.took_ms.has_value());
      CHECK(proof.what.empty());
    }
  }
}

TEST_CASE("verify: a gateway that is not placed itself compares with what others hand out",
          "[verify]") {
  VerifyScene scene(3 * mib, 5);
  const auto outside = scene.mesh.not_placed("it").front();
  scene.mesh.mesh[scene.placed[0]].store.damage(scene.mesh.object("it"), 1);
  CHECK(scene.result_of(scene.placed[0], outside).holding == Holding::damaged);
  scene.check_others_hold(scene.placed[0], outside);
}

TEST_CASE("verify: a damaged chunk is found, also on the node that asks", "[verify]") {
  VerifyScene scene;
  for (const std::size_t node : {1, 0}) {
    scene.mesh.mesh[node].store.damage(scene.mesh.object("it"), node);
    const auto result = scene.result_of(node);
    CHECK(result.holding == Holding::damaged);
    CHECK_THAT(result.what, Catch::Contains("chunk " + std::to_string(node)));
  }
  scene.mesh.mesh[2].store.damage(scene.mesh.object("it"), 3);
  CHECK(scene.result_of(2).holding == Holding::damaged);
}

TEST_CASE("verify: a small object's damaged bytes are found", "[verify]") {
  VerifyScene scene(100);
  scene.mesh.mesh[2].store.damage(scene.mesh.object("it"), 0);
  CHECK(scene.result_of(2).holding == Holding::damaged);
  scene.check_others_hold(2);
}

TEST_CASE("verify: when no node has a chunk whole, all are damaged", "[verify]") {
  VerifyScene scene;
  for (std::size_t node = 0; node < 3; ++node)
    scene.mesh.mesh[node].store.damage(scene.mesh.object("it"), 2);
  for (std::size_t node = 0; node < 3; ++node)
    CHECK(scene.result_of(node).holding == Holding::damaged);
}

TEST_CASE("verify: a node that makes its proof up is found out", "[verify]") {
  VerifyScene scene;
  scene.make_lie(2, [](const peer::Prove&, Result<PeerAnswer>& answer) {
    auto bytes = to_bytes(answer->payload.view());
    bytes.back() ^= 1;
    answer->payload = Payload::take(std::move(bytes));
  });
  CHECK(scene.result_of(2).holding == Holding::damaged);
  scene.check_others_hold(2);
}

TEST_CASE("verify: a proof of another length is none", "[verify]") {
  VerifyScene scene;
  for (const std::size_t length : {std::size_t{0}, std::size_t{31}, std::size_t{5 * 32}}) {
    scene.make_lie(1, [length](const peer::Prove&, Result<PeerAnswer>& answer) {
      answer->payload = Payload::take(Bytes(length));
    });
    CHECK(scene.result_of(1).holding == Holding::damaged);
    scene.check_others_hold(1);
  }
}

TEST_CASE("verify: a node cannot hand on what another one proved", "[verify]") {
  VerifyScene scene;
  auto& honest = scene.mesh.mesh[1];
  // It passes the question on, nonce and all, and gives the honest node's answer for its own.
  scene.make_lie(2, [&](const peer::Prove& asked, Result<PeerAnswer>& answer) {
    const auto latest = honest.store.latest(scene.mesh.object("it"));
    Bytes proofs;
    for (const auto index : asked.indices) {
      const auto sealed = honest.store.read_chunk(**latest, index);
      const auto proof = prove_chunk(asked.nonce, honest.id(), index, sealed->view());
      proofs.insert(proofs.end(), proof.view().begin(), proof.view().end());
    }
    answer->payload = Payload::take(std::move(proofs));
  });
  CHECK(scene.result_of(2).holding == Holding::damaged);
  scene.check_others_hold(2);
}

TEST_CASE("verify: a proof that was given once is of no use again", "[verify]") {
  VerifyScene scene;
  std::optional<Payload> first;
  scene.make_lie(2, [&first](const peer::Prove&, Result<PeerAnswer>& answer) {
    if (!first) first = answer->payload;
    answer->payload = *first;
  });
  CHECK(scene.result_of(2).holding == Holding::holds);
  CHECK(scene.result_of(2).holding == Holding::damaged);
}

TEST_CASE("verify: what a node says it holds must be signed by the owner", "[verify]") {
  VerifyScene scene;
  SECTION("a manifest with a flipped bit") {
    scene.make_lie(2, [](const peer::Prove&, Result<PeerAnswer>& answer) {
      std::get<peer::Prove::Reply>(answer->message).manifest->back() ^= 1;
    });
  }
  SECTION("another object's") {
    const auto other = sim::seal_object(scene.mesh.keys, {.name = "another"});
    scene.make_lie(2,
                   [wire = other.manifest.wire()](const peer::Prove&, Result<PeerAnswer>& answer) {
                     std::get<peer::Prove::Reply>(answer->message).manifest = wire;
                   });
  }
  SECTION("a refusal") {
    scene.make_lie(2, [](const peer::Prove&, Result<PeerAnswer>& answer) {
      answer = fail(Errc::invalid, "prove: I do not care to");
    });
  }
  CHECK(scene.result_of(2).holding == Holding::damaged);
  scene.check_others_hold(2);
}

TEST_CASE("verify: missing, older and later versions are told apart", "[verify]") {
  VerifyScene scene;
  auto& store = scene.mesh.mesh[2].store;
  const auto object = scene.mesh.object("it");
  const auto version = (*store.latest(object))->manifest().version;
  store.wipe();
  CHECK(scene.result_of(2).holding == Holding::missing);
  const auto keep = [&](std::uint64_t value) {
    store.wipe();
    sim::keep_in(store, sim::seal_object(scene.mesh.keys, {.name = "it", .version = {value}}));
  };
  keep(version.value - 1);
  CHECK(scene.result_of(2).holding == Holding::older);
  scene.check_others_hold(2);
  // A later one that a read quorum does not know: the other two answer first.
  keep(version.value + 1);
  scene.mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                            Result<PeerAnswer>& answer) {
    if (replier != scene.mesh.mesh[2].id()) return;
    if (std::holds_alternative<peer::GetManifest>(request)) answer = fail(Errc::busy, "later");
  };
  CHECK(scene.result_of(2).holding == Holding::newer);
}

TEST_CASE("verify: a node that is down, or never answers, is unreachable", "[verify]") {
  VerifyScene scene;
  SECTION("it is down") {
    scene.mesh.mesh.down(2);
    scene.mesh.mesh.world().run_for(std::chrono::seconds(10));
    const auto began = scene.mesh.now_ms();
    CHECK(scene.result_of(2).holding == Holding::unreachable);
    CHECK(scene.mesh.now_ms() - began < 2'000);
  }
  SECTION("it is cut off while it is asked") {
    scene.make_lie(2, [&](const peer::Prove&, Result<PeerAnswer>&) { scene.mesh.mesh.down(2); });
    const auto began = scene.mesh.now_ms();
    CHECK(scene.result_of(2).holding == Holding::unreachable);
    CHECK(scene.mesh.now_ms() - began < 60'000);
  }
  SECTION("it is always busy") {
    scene.make_lie(2, [](const peer::Prove&, Result<PeerAnswer>& answer) {
      answer = fail(Errc::busy, "prove: too many");
    });
    CHECK(scene.result_of(2).holding == Holding::unreachable);
  }
  scene.check_others_hold(2);
}

TEST_CASE("verify: what was never stored or was deleted is not found at once", "[verify]") {
  VerifyScene scene;
  const auto code_of = [&](const std::string& name) {
    const auto verification = scene.mesh.mesh.run(scene.mesh.gateways[0].verify(name));
    REQUIRE_FALSE(verification);
    return verification.error().code;
  };
  CHECK(code_of("nothing") == Errc::not_found);
  REQUIRE(scene.mesh.remove(0, "it"));
  CHECK(code_of("it") == Errc::not_found);
  CHECK(scene.mesh.mesh.network().sent("prove") == 0);
}

TEST_CASE("verify: chunks are chosen anew each time, within the object, and under new nonces",
          "[verify]") {
  VerifyScene scene(40 * mib);
  std::set<std::vector<std::uint64_t>> chosen;
  std::set<peer::ProofNonce> nonces;
  scene.mesh.mesh.network().on_answer = [&](const NodeId&, const peer::Request& request,
                                            Result<PeerAnswer>&) {
    const auto* asked = std::get_if<peer::Prove>(&request);
    if (asked == nullptr) return;
    CHECK(asked->indices.size() == 16);
    CHECK(asked->indices.back() < 40);
    chosen.insert(asked->indices);
    nonces.insert(asked->nonce);
  };
  for (int i = 0; i < 3; ++i)
    REQUIRE(scene.verify());
  CHECK(chosen.size() == 3);
  CHECK(nonces.size() == 6);
}

TEST_CASE("verify: no more than a few objects at once", "[verify]") {
  VerifyScene scene;
  std::size_t busy = 0;
  std::size_t done = 0;
  const auto one = [](VerifyScene& of, std::size_t& refused, std::size_t& ended) -> Task<void> {
    auto verification = co_await of.mesh.gateways[0].verify("it");
    refused += !verification && verification.error().code == Errc::busy ? 1 : 0;
    ended += 1;
  };
  for (int i = 0; i < 30; ++i)
    spawn(scene.mesh.mesh[0].runtime, one(scene, busy, done));
  REQUIRE(scene.mesh.mesh.world().run_until([&] { return done == 30; }, std::chrono::minutes(5)));
  CHECK(busy > 0);
  CHECK(busy < 30);
  CHECK(scene.verify());
}
