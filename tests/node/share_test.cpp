// What a link lets another owner do, and what it does not.
#include "node/share_link.hpp"

#include <catch2/catch.hpp>

#include "tests/node/gateway_mesh.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using Catch::Matchers::Contains;
using test::GatewayMesh;
using test::pattern;

namespace {

ShareLink some_link(const OwnerKeys& keys) {
  return {.object = {.owner = keys.id(), .hashed_key = keys.hash_name("film.mkv")},
          .version = random_id<ManifestHash>(),
          .expires_ms = 1'700'000'000'000,
          .part = {.name = "film.mkv",
                   .media_type = "video/x",
                   .mtime_ms = 7,
                   .attributes = {},
                   .content_key = ContentKey::random()}};
}

/// A mesh of one owner's gateways, and on its last node a gateway of another owner.
struct Shared {
  std::string link_to(const std::string& name, std::uint64_t for_ms = 60'000) {
    auto link = mesh.mesh.run(mesh.gateways[0].share(name, mesh.mesh[0].runtime.now_ms() + for_ms));
    REQUIRE(link.has_value());
    return *link;
  }
  Result<Bytes> get(const std::string& text) {
    auto link = parse_share_link(text);
    REQUIRE(link.has_value());
    auto stream = mesh.mesh.run(other.get_shared(std::move(*link)));
    if (!stream) return fail(std::move(stream.error()));
    Bytes content;
    const auto size = (*stream)->manifest().size;
    while (content.size() < size) {
      auto part = mesh.mesh.run((*stream)->read(content.size(), chunk_bytes_max));
      if (!part) return fail(std::move(part.error()));
      content.insert(content.end(), part->view().begin(), part->view().end());
    }
    return content;
  }
  bool reads(const std::string& text, const Bytes& expected) {
    const auto content = get(text);
    if (!content) FAIL(content.error().what);
    return *content == expected;
  }
  Errc error(const std::string& text) {
    const auto content = get(text);
    REQUIRE_FALSE(content.has_value());
    return content.error().code;
  }

  GatewayMesh mesh{4};
  Gateway other{mesh.mesh[3].context(), OwnerKeys::generate(), {}};
};

}  // namespace

TEST_CASE("share link: all of it is read back, however a mail broke it up", "[node]") {
  const auto keys = OwnerKeys::generate();
  const auto link = some_link(keys);
  auto text = share_link_text(link, keys);
  CHECK(is_share_link(text));
  text.insert(40, "\r\n ");
  const auto read = parse_share_link(text);
  REQUIRE(read.has_value());
  CHECK(read->object == link.object);
  CHECK(read->version == link.version);
  CHECK(read->expires_ms == link.expires_ms);
  CHECK(read->part.name == "film.mkv");
  CHECK(read->part.media_type == "video/x");
  CHECK(read->part.mtime_ms == 7);
  CHECK(to_bytes(read->part.content_key.view()) == to_bytes(link.part.content_key.view()));
}

TEST_CASE("share link: one changed or missing character is noticed", "[node]") {
  const auto keys = OwnerKeys::generate();
  const auto text = share_link_text(some_link(keys), keys);
  for (std::size_t at = text.find('-') + 1; at < text.size(); ++at) {
    auto altered = text;
    altered[at] = altered[at] == 'A' ? 'B' : 'A';
    for (const auto& bad : {altered, text.substr(0, at)}) {
      const auto link = parse_share_link(bad);
      REQUIRE_FALSE(link.has_value());
      CHECK(link.error().code == Errc::invalid);
      CHECK_THAT(link.error().what, Contains("cut or altered"));
    }
  }
}

TEST_CASE("share link: nobody but the owner can make one", "[node]") {
  const auto keys = OwnerKeys::generate();
  CHECK_FALSE(parse_share_link(share_link_text(some_link(keys), OwnerKeys::generate())));
  CHECK_FALSE(parse_share_link("zdb1whatever"));
  CHECK_FALSE(parse_share_link(""));
}

TEST_CASE("share: another owner reads small and large objects by a link", "[gateway]") {
  Shared scene;
  const auto small = pattern(1'000);
  const auto large = pattern(2 * mib + 17);
  REQUIRE(scene.mesh.put(0, "small", small));
  REQUIRE(scene.mesh.put_stream(0, "large", large));
  CHECK(scene.reads(scene.link_to("small"), small));
  CHECK(scene.reads(scene.link_to("large"), large));
}

TEST_CASE("share: a link reads nothing else, and nothing without it", "[gateway]") {
  Shared scene;
  REQUIRE(scene.mesh.put(0, "a", pattern(100, 1)));
  REQUIRE(scene.mesh.put(0, "b", pattern(100, 2)));
  auto of_a = parse_share_link(scene.link_to("a"));
  auto of_b = parse_share_link(scene.link_to("b"));
  auto mixed = parse_share_link(scene.link_to("a"));
  REQUIRE((of_a && of_b && mixed));
  // Their holder puts the pieces of two links together.
  mixed->object = of_b->object;
  mixed->version = of_b->version;
  const auto stream = scene.mesh.mesh.run(scene.other.get_shared(std::move(*mixed)));
  REQUIRE_FALSE(stream.has_value());
  CHECK(stream.error().code == Errc::corrupt);
  const auto by_name = scene.mesh.mesh.run(scene.other.get("a"));
  REQUIRE_FALSE(by_name.has_value());
  CHECK(by_name.error().code == Errc::not_found);
}

TEST_CASE("share: a link ends by its time", "[gateway]") {
  Shared scene;
  REQUIRE(scene.mesh.put(0, "a", pattern(100)));
  const auto link = scene.link_to("a", 300'000);  // clocks of nodes differ by less
  CHECK(scene.reads(link, pattern(100)));
  scene.mesh.mesh.world().run_for(std::chrono::minutes(10));
  CHECK(scene.error(link) == Errc::denied);
}

TEST_CASE("share: a link ends when its version is replaced or deleted", "[gateway]") {
  Shared scene;
  REQUIRE(scene.mesh.put(0, "a", pattern(100, 1)));
  const auto first = scene.link_to("a");
  REQUIRE(scene.mesh.put(1, "a", pattern(100, 2)));
  CHECK(scene.error(first) == Errc::not_found);
  const auto second = scene.link_to("a");
  CHECK(scene.reads(second, pattern(100, 2)));
  REQUIRE(scene.mesh.remove(2, "a"));
  CHECK(scene.error(second) == Errc::not_found);
}

TEST_CASE("share: a link has not ended because a node has an older version, and no others answer",
          "[gateway]") {
  Shared scene;
  auto& mesh = scene.mesh.mesh;
  std::string name = "a";
  while (scene.mesh.not_placed(name).front() == 3)
    name += "a";
  REQUIRE(scene.mesh.put(0, name, pattern(100, 1)));
  REQUIRE(mesh.run_until_quiet());
  mesh.down(3);
  REQUIRE(scene.mesh.put(0, name, pattern(100, 2)));
  const auto link = scene.link_to(name);
  mesh.world().run_for(std::chrono::seconds(10));  // nothing is on its way any more
  for (std::size_t node = 0; node < 3; ++node)
    mesh.down(node);
  mesh.up(3);
  CHECK(scene.error(link) == Errc::no_quorum);
  for (std::size_t node = 0; node < 3; ++node)
    mesh.up(node);
  REQUIRE(mesh.run_until_linked());
  CHECK(scene.reads(link, pattern(100, 2)));
}

TEST_CASE("share: a member that was given a link cannot forge what others read", "[gateway]") {
  const auto size = GENERATE(std::size_t{100}, std::size_t{60'000}, std::size_t{500'000}, 3 * mib);
  Shared scene;
  auto& mesh = scene.mesh;
  const std::string name = "a";
  const auto content = pattern(size, 1);
  REQUIRE(mesh.put(0, name, content));
  REQUIRE(mesh.mesh.run_until_quiet());
  const auto reader = mesh.not_placed(name).front();
  const auto given = parse_share_link(scene.link_to(name));
  REQUIRE(given);
  const auto forge_on = [&](std::size_t node) {
    const auto manifest = *mesh.kept(node, name);
    const auto last = manifest->chunk_count - 1;
    const auto plain = pattern(chunk_size_at(last, size, manifest->chunk_bytes), 2);
    Bytes sealed(plain.size() + chunk_overhead_bytes);
    seal_chunk(given->part.content_key, manifest->binding(), {.index = last, .last = true}, plain,
               sealed);
    mesh.mesh[node].store.forge(mesh.object(name), last, Payload::take(std::move(sealed)));
  };
  const auto holders = mesh.placed(name);
  forge_on(holders[0]);
  forge_on(holders[1]);
  CHECK(mesh.get(reader, name) == content);
  forge_on(holders[2]);
  CHECK(mesh.error_of_get(reader, name) == Errc::corrupt);
}

TEST_CASE("share: what does not exist cannot be shared", "[gateway]") {
  Shared scene;
  const auto link = scene.mesh.mesh.run(scene.mesh.gateways[0].share("none", 1));
  REQUIRE_FALSE(link.has_value());
  CHECK(link.error().code == Errc::not_found);
}
