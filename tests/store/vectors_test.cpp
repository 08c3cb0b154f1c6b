// What FORMAT.md says, as bytes made by another implementation: tests/vectors/core_vectors.py.

#include <catch2/catch.hpp>
#include <fstream>
#include <nlohmann/json.hpp>

#include "store/keyfile.hpp"
#include "store/manifest.hpp"
#include "store/recovery.hpp"
#include "tests/support/temp_dir.hpp"

using namespace zerodb;
using nlohmann::json;

namespace {

const json& vectors() {
  static const json read = json::parse(std::ifstream("tests/vectors/core.json"));
  return read;
}

Bytes bytes_at(const json& from, const char* name) {
  return *from_hex(from.at(name).get_ref<const std::string&>());
}

OwnerKeys owner() {
  return OwnerKeys(*Seed::from(bytes_at(vectors()["owner"], "seed")));
}

ContentKey content_key() {
  return *ContentKey::from(bytes_at(vectors()["cipher"], "content_key"));
}

ChunkBinding binding() {
  const auto& about = vectors()["owner"];
  return {{owner().id(), owner().hash_name(about["name"].get<std::string>())},
          *BlobId::from(bytes_at(vectors()["cipher"], "blob_id"))};
}

void check_file(std::string_view field, const std::filesystem::path& path) {
  CHECK(to_hex(*read_secret_file(path)) ==
        vectors()["key_files"][std::string(field)].get<std::string>());
}

}  // namespace

TEST_CASE("vectors: an owner's keys, id and hashed keys", "[store]") {
  const auto& expected = vectors()["owner"];
  const auto keys = owner();
  CHECK(keys.id().hex() == expected["id"]);
  CHECK(keys.hash_name(expected["name"].get<std::string>()).hex() == expected["hashed_key"]);
  CHECK(to_hex(keys.wrap_key().view()) == expected["wrap_key"]);
  CHECK(to_hex(keys.catalogue_key().view()) == expected["catalogue_key"]);
}

TEST_CASE("vectors: recovery text", "[store]") {
  const auto& expected = vectors()["owner"];
  CHECK(recovery_text(owner().seed()) == expected["recovery_text"]);
  const auto seed = seed_from_recovery_text(expected["recovery_text"].get<std::string>());
  REQUIRE(seed);
  CHECK(to_hex(seed->view()) == expected["seed"]);
}

TEST_CASE("vectors: sealed chunks, leaves, root and commitment", "[store]") {
  const auto& expected = vectors()["cipher"];
  RootHasher root;
  std::uint64_t index = 0;
  for (const auto& chunk : expected["chunks"]) {
    const auto plain = bytes_at(chunk, "plain");
    const ChunkPosition position{.index = index++, .last = chunk["last"].get<bool>()};
    Bytes sealed(plain.size() + chunk_overhead_bytes);
    seal_chunk(content_key(), binding(), position, plain, sealed);
    CHECK(to_hex(sealed) == chunk["sealed"]);
    CHECK(leaf_of(sealed).hex() == chunk["leaf"]);
    root.add(leaf_of(sealed));
  }
  CHECK(root.finish().hex() == expected["root"]);
  CHECK(RootHasher().finish().hex() == expected["root_of_no_leaves"]);
  CHECK(commit_to(content_key(), binding().blob_id).hex() == expected["key_commitment"]);
}

TEST_CASE("vectors: a manifest reads, opens and is made again to the byte", "[store]") {
  const auto& expected = vectors()["manifest"];
  const auto wire = bytes_at(expected, "wire");
  const auto read = SignedManifest::verify(wire);
  REQUIRE(read);
  CHECK(read->hash().hex() == expected["hash"]);
  const auto& manifest = read->manifest();
  CHECK(manifest.object == binding().object);
  CHECK(manifest.version == Version::at(1'795'429'230'123, 4));
  CHECK(manifest.root.hex() == expected["root"]);
  CHECK(manifest.layout.replicas == 3);

  const auto part = open_private_part(owner(), manifest);
  REQUIRE(part);
  CHECK(part->name == vectors()["owner"]["name"]);
  CHECK(part->media_type == "text/plain");
  CHECK(part->mtime_ms == -1);
  CHECK(part->attributes == std::map<std::string, std::string>{{"colour", "red"}, {"empty", ""}});
  const auto sealed = bytes_at(expected["chunk"], "sealed");
  Bytes plain(sealed.size() - chunk_overhead_bytes);
  CHECK(
      open_chunk(part->content_key, manifest.binding(), {.index = 0, .last = true}, sealed, plain));
  CHECK(to_hex(plain) == expected["chunk"]["plain"]);

  CHECK(SignedManifest::sign(manifest, owner()).wire() == wire);
}

TEST_CASE("vectors: a field of a later program is ignored, and kept", "[store]") {
  const auto wire = bytes_at(vectors()["manifest"], "with_unknown_field");
  const auto read = SignedManifest::verify(wire);
  REQUIRE(read);
  CHECK(read->wire() == wire);
  CHECK(open_private_part(owner(), read->manifest()));
}

TEST_CASE("vectors: a tombstone", "[store]") {
  const auto read = SignedManifest::verify(bytes_at(vectors()["manifest"], "tombstone"));
  REQUIRE(read);
  CHECK(read->manifest().is_tombstone());
  CHECK(open_private_part(owner(), read->manifest())->name == vectors()["owner"]["name"]);
}

TEST_CASE("vectors: manifests that must be refused", "[store]") {
  REQUIRE(vectors()["refused_manifests"].size() > 30);
  for (const auto& refused : vectors()["refused_manifests"]) {
    CAPTURE(refused["what"].get<std::string>());
    const auto read = SignedManifest::verify(bytes_at(refused, "wire"));
    REQUIRE_FALSE(read);
    CHECK(to_string(read.error().code) == refused["code"].get<std::string>());
    // What is malformed is not taken from this node's own disk either.
    if (read.error().code == Errc::invalid) {
      CHECK_FALSE(SignedManifest::trusted(bytes_at(refused, "wire")));
    }
  }
}

TEST_CASE("vectors: a golden manifest cut anywhere or with any bit flipped is refused", "[store]") {
  const auto wire = bytes_at(vectors()["manifest"], "wire");
  for (std::size_t size = 0; size < wire.size(); ++size) {
    REQUIRE_FALSE(SignedManifest::verify(ByteView(wire).first(size)));
    REQUIRE_FALSE(SignedManifest::trusted(ByteView(wire).first(size)));
  }
  for (std::size_t bit = 0; bit < wire.size() * 8; ++bit) {
    auto damaged = wire;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    REQUIRE_FALSE(SignedManifest::verify(damaged));
  }
}

TEST_CASE("vectors: key files", "[store]") {
  const test::TempDir dir;
  const auto& expected = vectors()["key_files"];
  REQUIRE(SeedFile::save(dir / "seed", owner().seed(), std::nullopt));
  check_file("seed", dir / "seed");

  REQUIRE(write_secret_file(dir / "node", bytes_at(expected, "node")));
  const auto node = NodeKeyFile::load(dir / "node");
  REQUIRE(node);
  CHECK(node->sign.public_key().hex() == expected["node_sign_key"]);
  REQUIRE(NodeKeyFile::save(dir / "node again", *node));
  check_file("node", dir / "node again");
}

TEST_CASE("vectors: a locked seed made by another implementation opens", "[store]") {
  const test::TempDir dir;
  std::string text;
  std::ifstream("tests/vectors/locked_seed.hex") >> text;
  REQUIRE(write_secret_file(dir / "seed", *from_hex(text)));
  CHECK(*SeedFile::is_locked(dir / "seed"));
  const auto seed = SeedFile::load(dir / "seed", "correct horse");
  REQUIRE(seed);
  CHECK(to_hex(seed->view()) == vectors()["owner"]["seed"]);
  CHECK(SeedFile::load(dir / "seed", "wrong").error().code == Errc::denied);
}
