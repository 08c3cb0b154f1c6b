// What nodes sign when they have made a version durable, and what a gateway makes of it.
#include "store/receipt.hpp"

#include <catch2/catch.hpp>

#include "tests/node/gateway_mesh.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

Result<WriteReceipt> put_with_receipts(GatewayMesh& mesh, const std::string& name,
                                       const Bytes& content) {
  PutSpec spec{.name = name, .receipts = true};
  if (content.size() <= inline_bytes_max) {
    return mesh.mesh.run(mesh.gateways[0].put_small(std::move(spec), Payload::copy_of(content)));
  }
  auto stream = mesh.mesh.run(mesh.gateways[0].put(std::move(spec)));
  REQUIRE(stream);
  for (std::size_t at = 0; at < content.size(); at += mib) {
    const auto chunk = ByteView(content).subspan(at, std::min(mib, content.size() - at));
    REQUIRE(mesh.mesh.run((*stream)->write(Payload::copy_of(chunk))));
  }
  return mesh.mesh.run((*stream)->finish(content.size()));
}

/// Checks each receipt with the key that the roster names.
void check_receipts_of(GatewayMesh& mesh, const WriteReceipt& written) {
  CHECK(written.receipts.size() == written.copies);
  CHECK(written.receipts.size() >= 2);
  const auto manifest = SignedManifest::verify(written.manifest);
  REQUIRE(manifest);
  CHECK((*manifest)->version == written.version);
  std::set<NodeId> nodes;
  for (const auto& receipt : written.receipts) {
    const auto roster = mesh.mesh.roster();
    const auto* member = roster.find(receipt.node);
    REQUIRE(member != nullptr);
    CHECK(verify_receipt(member->sign_key, manifest->hash(), receipt));
    nodes.insert(receipt.node);
  }
  CHECK(nodes.size() == written.receipts.size());
}

peer::Committed* committed_in(Result<PeerAnswer>& answer) {
  return answer ? std::get_if<peer::Committed>(&answer->message) : nullptr;
}

}  // namespace

TEST_CASE("receipt: verifies for what was signed and for nothing else", "[receipts]") {
  REQUIRE(initialise_crypto());
  const auto key = SigningKey::generate();
  const auto node = random_id<NodeId>();
  const auto version = random_id<ManifestHash>();
  const auto receipt = sign_receipt(key, node, version, 1'700'000'000'000);
  CHECK(verify_receipt(key.public_key(), version, receipt));
  CHECK_FALSE(verify_receipt(SigningKey::generate().public_key(), version, receipt));
  CHECK_FALSE(verify_receipt(key.public_key(), random_id<ManifestHash>(), receipt));
  auto other = receipt;
  other.node = random_id<NodeId>();
  CHECK_FALSE(verify_receipt(key.public_key(), version, other));
  other = receipt;
  other.time_ms += 1;
  CHECK_FALSE(verify_receipt(key.public_key(), version, other));
  other = receipt;
  other.signature.mutable_view()[5] ^= 1;
  CHECK_FALSE(verify_receipt(key.public_key(), version, other));
}

TEST_CASE("receipt: its bytes are what PROTOCOL.md says", "[receipts]") {
  REQUIRE(initialise_crypto());
  const auto key = SigningKey::generate();
  const auto node = random_id<NodeId>();
  const auto version = random_id<ManifestHash>();
  Bytes said = to_bytes(as_bytes("zerodb receipt v1"));
  said.insert(said.end(), version.view().begin(), version.view().end());
  said.insert(said.end(), node.view().begin(), node.view().end());
  for (const auto byte : std::initializer_list<std::uint8_t>{0, 0, 0, 0, 0, 0, 1, 2})
    said.push_back(byte);
  CHECK(sign_receipt(key, node, version, 258).signature == key.sign(said));
}

TEST_CASE("receipts: each copy of a put comes with its node's signature", "[receipts]") {
  GatewayMesh mesh(3);
  for (const std::size_t size : {std::size_t{0}, std::size_t{100}, 3 * mib}) {
    const auto written = put_with_receipts(mesh, "signed", pattern(size));
    REQUIRE(written);
    check_receipts_of(mesh, *written);
  }
}

TEST_CASE("receipts: a deletion is signed for as well", "[receipts]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "gone", pattern(10)));
  const auto removed = mesh.mesh.run(mesh.gateways[1].remove("gone", {.receipts = true}));
  REQUIRE(removed);
  check_receipts_of(mesh, *removed);
  CHECK((*SignedManifest::verify(removed->manifest))->is_tombstone());
}

TEST_CASE("receipts: nobody signs what nobody asked for", "[receipts]") {
  GatewayMesh mesh(3);
  std::size_t receipts = 0;
  mesh.mesh.network().on_answer = [&](const NodeId&, const peer::Request&,
                                      Result<PeerAnswer>& answer) {
    if (const auto* committed = committed_in(answer)) receipts += committed->receipt ? 1 : 0;
  };
  const auto small = mesh.put(0, "plain", pattern(10));
  const auto large = mesh.put(0, "plain", pattern(2 * mib));
  REQUIRE(small);
  REQUIRE(large);
  CHECK(small->receipts.empty());
  CHECK(large->manifest.empty());
  CHECK(receipts == 0);
}

TEST_CASE("receipts: a forged one is not counted as a copy", "[receipts]") {
  GatewayMesh mesh(3);
  const auto liar = mesh.mesh[1].id();
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request&,
                                      Result<PeerAnswer>& answer) {
    auto* committed = committed_in(answer);
    if (replier != liar || committed == nullptr || !committed->receipt) return;
    committed->receipt->time_ms += 1;
  };
  for (const std::size_t size : {std::size_t{100}, 2 * mib}) {
    const auto written = put_with_receipts(mesh, "forged", pattern(size));
    REQUIRE(written);
    CHECK(written->copies == 2);
    check_receipts_of(mesh, *written);
    for (const auto& receipt : written->receipts)
      CHECK(receipt.node != liar);
  }
}

TEST_CASE("receipts: without W honest ones the put fails and names who did not sign",
          "[receipts]") {
  GatewayMesh mesh(3);
  mesh.mesh.network().on_answer = [&](const NodeId&, const peer::Request&,
                                      Result<PeerAnswer>& answer) {
    if (auto* committed = committed_in(answer)) committed->receipt.reset();
  };
  const auto written = put_with_receipts(mesh, "unsigned", pattern(100));
  REQUIRE_FALSE(written);
  CHECK(written.error().code == Errc::no_quorum);
  CHECK_THAT(written.error().what, Catch::Contains("node2") && Catch::Contains("receipt"));
}

TEST_CASE("receipts: are for the version that stands after a later one was in the way",
          "[receipts]") {
  GatewayMesh mesh(3);
  mesh.mesh[1].runtime.set_clock_skew(30'000);
  REQUIRE(mesh.put(1, "contested", pattern(10, 1)));
  mesh.mesh[1].runtime.set_clock_skew(0);
  const auto written = put_with_receipts(mesh, "contested", pattern(2 * mib, 2));
  REQUIRE(written);
  check_receipts_of(mesh, *written);
  CHECK(mesh.gateways[0].counters().versions_retried > 0);
}
