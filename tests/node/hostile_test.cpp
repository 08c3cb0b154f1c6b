// What one member that lies or keeps silent costs the others.
#include <array>
#include <catch2/catch.hpp>

#include "node/entry_codec.hpp"
#include "store/hash.hpp"
#include "tests/node/gateway_mesh.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

/// How long `work` takes, in virtual time.
template <class Work>
std::uint64_t took_ms(GatewayMesh& mesh, Work work) {
  const auto begin = mesh.now_ms();
  work();
  return mesh.now_ms() - begin;
}

/// An entry of the partition, as of an owner's object.
Bytes made_up_entry_in(std::uint32_t partition, const OwnerId& owner) {
  Entry entry{.object = {.owner = owner, .hashed_key = random_id<HashedKey>()},
              .version = Version::at(1'000),
              .hash = random_id<ManifestHash>()};
  auto key = entry.object.hashed_key.mutable_view();
  key[0] = static_cast<std::uint8_t>(partition >> 4);
  key[1] = static_cast<std::uint8_t>((partition & 0xf) << 4 | (key[1] & 0xf));
  Bytes bytes;
  append_entry(bytes, entry);
  return bytes;
}

/// One step behind `after`.
Bytes next_position(const std::optional<Bytes>& after) {
  auto position = after.value_or(Bytes(position_bytes));
  for (auto digit = position.rbegin(); digit != position.rend(); ++digit) {
    if (++*digit != 0) break;
  }
  return position;
}

Result<WriteReceipt> put_if_absent(GatewayMesh& mesh, std::size_t from, const std::string& name) {
  PutSpec spec;
  spec.name = name;
  spec.condition.absent = true;
  return mesh.mesh.run(
      mesh.gateways[from].put_small(std::move(spec), Payload::copy_of(pattern(10))));
}

}  // namespace

TEST_CASE("hostile: a node that answers nothing delays a listing by a moment, and only the first",
          "[gateway]") {
  GatewayMesh mesh(4);
  REQUIRE(mesh.put(0, "there", pattern(5)));
  mesh.mesh.network().silent = mesh.mesh[3].id();
  const auto list = [&] {
    const auto page = mesh.list(0);
    REQUIRE(page);
    CHECK(page->entries.size() == 1);
  };
  CHECK(took_ms(mesh, list) < 3'500);  // a moment for each of what a listing asks
  REQUIRE(mesh.put(1, "there, too", pattern(5)));
  REQUIRE(mesh.remove(1, "there, too"));
  CHECK(took_ms(mesh, list) < 200);
}

TEST_CASE("hostile: a listing does not wait for the digests of a node that is slow", "[gateway]") {
  GatewayMesh mesh(4);
  REQUIRE(mesh.put(0, "there", pattern(5)));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  mesh.links[0].delays_of[{"get_digests", mesh.mesh[3].id()}] = Milliseconds(400);
  const auto list = [&] {
    const auto page = mesh.list(0);
    REQUIRE(page);
    CHECK(page->entries.size() == 1);
  };
  for (int again = 0; again < 3; ++again)
    CHECK(took_ms(mesh, list) < 50);
}

TEST_CASE("hostile: a node that was late once delays none of the next listings", "[gateway]") {
  GatewayMesh mesh(4);
  REQUIRE(mesh.put(0, "there", pattern(5)));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  constexpr std::array usual_ms{100, 100, 400};
  for (std::size_t i = 0; i < usual_ms.size(); ++i)
    mesh.links[0].delays_of[{"get_digests", mesh.mesh[i + 1].id()}] = Milliseconds(usual_ms[i]);
  const auto list = [&] {
    const auto page = mesh.list(0);
    REQUIRE(page);
    CHECK(page->entries.size() == 1);
  };
  CHECK(took_ms(mesh, list) >= 150);  // half as long again
  for (int again = 0; again < 3; ++again)
    CHECK(took_ms(mesh, list) < 130);
}

TEST_CASE("hostile: a slow node is waited for when another one fails", "[gateway]") {
  GatewayMesh mesh(4);
  REQUIRE(mesh.put(0, "there", pattern(5)));
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    const bool refuses =
        replier == mesh.mesh[2].id() && std::holds_alternative<peer::GetEntries>(request);
    if (refuses) answer = fail(Errc::busy, "not now");
  };
  mesh.links[0].delays_of[{"get_digests", mesh.mesh[3].id()}] = Milliseconds(400);
  REQUIRE(mesh.put(1, "there, too", pattern(5)));
  const auto page = mesh.list(0);
  REQUIRE(page);
  CHECK(page->entries.size() == 2);
}

namespace {

/// A member whose digests are never what they were, and whose listings never end.
struct EndlessLister {
  EndlessLister(GatewayMesh& mesh, std::size_t liar) {
    mesh.mesh.network().on_answer = [this, &mesh, liar](const NodeId& replier,
                                                        const peer::Request& request,
                                                        Result<PeerAnswer>& answer) {
      if (replier != mesh.mesh[liar].id() || !answer) return;
      if (std::holds_alternative<peer::GetDigests>(request)) {
        answer->payload = Payload::copy_of(pattern(partition_count * 16));
      }
      const auto* asked = std::get_if<peer::GetEntries>(&request);
      if (asked == nullptr) return;
      ++pages;
      const auto partition = asked->partitions.front();
      answer->message = peer::GetEntries::Reply{.next_partition = partition,
                                                .next_after = next_position(asked->after)};
      answer->payload = Payload::take(made_up_entry_in(partition, mesh.keys.id()));
    };
  }

  std::size_t pages = 0;
};

}  // namespace

TEST_CASE("hostile: a listing without end ends", "[gateway]") {
  GatewayMesh mesh(3);
  mesh.let_nobody_be_late();
  REQUIRE(mesh.put(0, "there", pattern(5)));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  const EndlessLister liar(mesh, 2);
  const auto list = [&] {
    const auto page = mesh.list(0);
    REQUIRE(page);
    CHECK(page->entries.size() == 1);
  };
  CHECK(took_ms(mesh, list) < 3'500);
  CHECK(took_ms(mesh, list) < 200);
  const auto before = liar.pages;
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(liar.pages <= before + 8);  // nobody goes on reading it
}

TEST_CASE("hostile: a listing without end ends, also when a slow node was not waited for",
          "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "there", pattern(5)));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  const EndlessLister liar(mesh, 2);
  mesh.links[0].delays_of[{"get_digests", mesh.mesh[1].id()}] = Milliseconds(400);
  const auto list = [&] {
    const auto page = mesh.list(0);
    REQUIRE(page);
    CHECK(page->entries.size() == 1);
  };
  CHECK(took_ms(mesh, list) < 5'000);
}

TEST_CASE("hostile: a listing without end ends, also when nobody else answers", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "there", pattern(5)));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  const EndlessLister liar(mesh, 2);
  mesh.mesh.down(1);
  const auto list = [&] { CHECK(mesh.list(0).error().code == Errc::no_quorum); };
  CHECK(took_ms(mesh, list) < 40'000);
}

TEST_CASE("hostile: a node that lists nonsense is done without for a while", "[gateway]") {
  GatewayMesh mesh(4);
  mesh.let_nobody_be_late();
  REQUIRE(mesh.put(0, "there", pattern(5)));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  std::size_t listings = 0;
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    if (replier != mesh.mesh[3].id() || !answer) return;
    if (std::holds_alternative<peer::GetDigests>(request)) {
      answer->payload = Payload::copy_of(pattern(partition_count * 16));
    } else if (std::holds_alternative<peer::GetEntries>(request)) {
      ++listings;
      answer->payload = Payload::copy_of(pattern(7));  // no entries
    }
  };
  for (int again = 0; again < 4; ++again) {
    const auto page = mesh.list(0);
    REQUIRE(page);
    CHECK(page->entries.size() == 1);
    CHECK(listings == 1);
    // Nor does it stand in for one that takes longer than itself.
    mesh.links[0].delays_of[{"get_digests", mesh.mesh[1].id()}] = Milliseconds(100);
  }
}

TEST_CASE("hostile: of two that kept others waiting one is enough, at once", "[gateway]") {
  GatewayMesh mesh(4);
  mesh.let_nobody_be_late();
  REQUIRE(mesh.put(0, "there", pattern(5)));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    if (replier == mesh.mesh[1].id() || !answer) return;
    if (std::holds_alternative<peer::GetDigests>(request))
      answer->payload = Payload::copy_of(pattern(partition_count * 16));
    if (std::holds_alternative<peer::GetEntries>(request))
      answer->payload = Payload::copy_of(pattern(7));  // no entries
  };
  REQUIRE(mesh.list(0).error().code == Errc::no_quorum);
  mesh.mesh.network().on_answer = {};
  mesh.links[0].delays_of[{"get_digests", mesh.mesh[3].id()}] = Milliseconds(2'000);
  const auto list = [&] {
    const auto page = mesh.list(0);
    REQUIRE(page);
    CHECK(page->entries.size() == 1);
  };
  CHECK(took_ms(mesh, list) < 50);
}

TEST_CASE("hostile: what only a silent node is asked for first is had of another", "[gateway]") {
  GatewayMesh mesh(4);
  const auto outside = mesh.not_placed("there").front();
  REQUIRE(mesh.put(mesh.placed("there")[0], "there", pattern(5)));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    const bool refuses = replier == mesh.mesh[mesh.placed("there")[0]].id() &&
                         std::holds_alternative<peer::GetManifest>(request);
    if (refuses) answer = fail(Errc::not_found, "nothing is here");
  };
  Gateway fresh(mesh.mesh[outside].context(), OwnerKeys(mesh.keys.seed()), {});
  const auto page = mesh.mesh.run(fresh.list({}));
  REQUIRE(page);
  CHECK(page->entries.size() == 1);
}

TEST_CASE("hostile: conditional writes pass over a first node that answers nothing", "[gateway]") {
  GatewayMesh mesh(3);
  const auto placed = mesh.placed("lock");
  REQUIRE(mesh.put(placed[1], "something", pattern(5)));  // so that its clock is known to be right
  mesh.mesh.network().silent = mesh.mesh[placed[0]].id();
  const auto put = [&] { CHECK(put_if_absent(mesh, placed[1], "lock")); };
  CHECK(took_ms(mesh, put) < 1'500);
  REQUIRE(mesh.remove(placed[1], "lock"));
  CHECK(took_ms(mesh, put) < 200);
  CHECK_FALSE(put_if_absent(mesh, placed[2], "lock"));
}

TEST_CASE("hostile: a write is seen through its own gateway, whatever one member denies",
          "[gateway]") {
  GatewayMesh mesh(4);
  const auto placed = mesh.placed("mine");
  const auto outside = mesh.not_placed("mine").front();
  const auto liar = mesh.mesh[placed[0]].id();
  const auto honest = mesh.mesh[placed[1]].id();
  const auto late = mesh.mesh[placed[2]].id();
  REQUIRE(mesh.put(outside, "mine", pattern(5, 1)));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  const auto first = mesh.kept(placed[0], "mine")->wire();
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    if (replier != liar || !std::holds_alternative<peer::GetManifest>(request)) return;
    answer->message = peer::GetManifest::Reply{.manifest = first, .whole = true};
    answer->payload = {};
  };
  mesh.links[outside].delays_of[{"put_inline", late}] = std::chrono::seconds(3);
  mesh.links[outside].delays_of[{"get_manifest", honest}] = Milliseconds(100);
  for (std::uint32_t again = 2; again < 6; ++again) {
    REQUIRE(mesh.put(outside, "mine", pattern(5, again)));
    CHECK(mesh.get(outside, "mine") == pattern(5, again));
  }
  REQUIRE(mesh.remove(outside, "mine"));
  CHECK(mesh.error_of_get(outside, "mine") == Errc::not_found);
}

TEST_CASE(
    "hostile: what a gateway acknowledged is not absent while the only one to show it is down",
    "[gateway]") {
  GatewayMesh mesh(4);
  const auto placed = mesh.placed("mine");
  const auto outside = mesh.not_placed("mine").front();
  const auto liar = mesh.mesh[placed[0]].id();
  REQUIRE(mesh.put(outside, "mine", pattern(5)));
  REQUIRE(mesh.remove(outside, "mine"));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  const auto tombstone = mesh.kept(placed[0], "mine")->wire();
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    if (replier != liar || !std::holds_alternative<peer::GetManifest>(request)) return;
    answer->message = peer::GetManifest::Reply{.manifest = tombstone, .whole = true};
    answer->payload = {};
  };
  mesh.links[outside].delays_of[{"put_inline", mesh.mesh[placed[2]].id()}] =
      std::chrono::seconds(60);
  const auto stored = mesh.put(outside, "mine", pattern(5));
  REQUIRE(stored);
  mesh.mesh.down(placed[1]);
  mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(mesh.error_of_get(outside, "mine") == Errc::no_quorum);
  const auto removed =
      mesh.mesh.run(mesh.gateways[outside].remove("mine", {.only = stored->version}));
  CHECK(removed.error().code == Errc::no_quorum);
  mesh.mesh.up(placed[1]);
  REQUIRE(mesh.mesh.run_until_linked());
  CHECK(mesh.get(outside, "mine") == pattern(5));
}

TEST_CASE("hostile: what a gateway acknowledged and nobody has is not waited for without end",
          "[gateway]") {
  GatewayMesh mesh(4);
  const auto placed = mesh.placed("mine");
  const auto outside = mesh.not_placed("mine").front();
  REQUIRE(mesh.put(outside, "mine", pattern(5, 1)));
  mesh.mesh.world().run_for(std::chrono::seconds(5));
  std::map<NodeId, Bytes> firsts;
  for (const auto node : placed)
    firsts[mesh.mesh[node].id()] = mesh.kept(node, "mine")->wire();
  REQUIRE(mesh.put(outside, "mine", pattern(5, 2)));
  mesh.mesh.network().on_answer = [&](const NodeId& replier, const peer::Request& request,
                                      Result<PeerAnswer>& answer) {
    if (!std::holds_alternative<peer::GetManifest>(request)) return;
    answer->message = peer::GetManifest::Reply{.manifest = firsts.at(replier), .whole = true};
    answer->payload = {};
  };
  const auto get = [&] { CHECK(mesh.get(outside, "mine")); };
  CHECK(took_ms(mesh, get) < 3'000);
}
