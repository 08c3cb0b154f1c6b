#include "store/manifest.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;

namespace {

PrivatePart part_of(std::string name) {
  return {.name = std::move(name),
          .media_type = "text/plain",
          .mtime_ms = -5,
          .attributes = {{"colour", "red"}, {"empty", ""}},
          .content_key = ContentKey::random()};
}

Manifest manifest_of(const OwnerKeys& keys, const PrivatePart& part) {
  Manifest manifest;
  manifest.object = {keys.id(), keys.hash_name(part.name)};
  manifest.version = Version::at(1'795'429'230'123, 4);
  manifest.blob_id = random_id<BlobId>();
  manifest.size = (std::uint64_t{chunk_bytes_max} << 1) + 1;
  manifest.chunk_count = 3;
  manifest.root = random_id<Root>();
  manifest.layout.replicas = 3;
  manifest.key_commitment = commit_to(part.content_key, manifest.blob_id);
  manifest.sealed = seal_private_part(keys, manifest, part);
  return manifest;
}

Manifest tombstone_of(const OwnerKeys& keys, std::string name) {
  Manifest manifest;
  manifest.kind = ObjectKind::tombstone;
  manifest.object = {keys.id(), keys.hash_name(name)};
  manifest.version = Version::at(2);
  manifest.blob_id = random_id<BlobId>();
  PrivatePart part;
  part.name = std::move(name);
  manifest.sealed = seal_private_part(keys, manifest, part);
  return manifest;
}

Errc refusal(const Manifest& manifest, const OwnerKeys& keys) {
  const auto read = SignedManifest::verify(SignedManifest::sign(manifest, keys).wire());
  REQUIRE_FALSE(read);
  return read.error().code;
}

}  // namespace

TEST_CASE("manifest: every field survives the wire, and the bytes are kept", "[store]") {
  const auto keys = OwnerKeys::generate();
  const auto part = part_of("notes/a.txt");
  const auto manifest = manifest_of(keys, part);
  const auto made = SignedManifest::sign(manifest, keys);
  const auto read = SignedManifest::verify(made.wire());
  REQUIRE(read);
  CHECK(read->wire() == made.wire());
  CHECK(read->hash() == made.hash());
  const auto& got = read->manifest();
  CHECK(got.format == 1);
  CHECK(got.object == manifest.object);
  CHECK(got.version == manifest.version);
  CHECK(got.kind == ObjectKind::object);
  CHECK(got.blob_id == manifest.blob_id);
  CHECK(got.size == manifest.size);
  CHECK(got.chunk_bytes == chunk_bytes_max);
  CHECK(got.chunk_count == 3);
  CHECK(got.root == manifest.root);
  CHECK(got.layout.replicas == 3);
  CHECK(got.key_commitment == manifest.key_commitment);
  CHECK(got.sealed == manifest.sealed);
  CHECK(SignedManifest::trusted(made.wire())->hash() == made.hash());
  CHECK(made.wire().size() < 1024);
}

TEST_CASE("manifest: the owner reads the private part, nobody else does", "[store]") {
  const auto keys = OwnerKeys::generate();
  const auto part = part_of("notes/a.txt");
  const auto manifest = manifest_of(keys, part);
  const auto opened = open_private_part(keys, manifest);
  REQUIRE(opened);
  CHECK(opened->name == part.name);
  CHECK(opened->media_type == part.media_type);
  CHECK(opened->mtime_ms == part.mtime_ms);
  CHECK(opened->attributes == part.attributes);
  CHECK(std::ranges::equal(opened->content_key.view(), part.content_key.view()));

  const auto stranger = open_private_part(OwnerKeys::generate(), manifest);
  REQUIRE_FALSE(stranger);
  CHECK(stranger.error().code == Errc::denied);
}

TEST_CASE("manifest: a private part moved to another object or blob does not open", "[store]") {
  const auto keys = OwnerKeys::generate();
  const auto manifest = manifest_of(keys, part_of("a"));
  auto moved = manifest;
  moved.blob_id = random_id<BlobId>();
  CHECK(open_private_part(keys, moved).error().code == Errc::corrupt);
  moved = manifest;
  moved.object.hashed_key = keys.hash_name("b");
  CHECK(open_private_part(keys, moved).error().code == Errc::corrupt);
}

TEST_CASE("manifest: a later version needs no second sealing", "[store]") {
  const auto keys = OwnerKeys::generate();
  auto manifest = manifest_of(keys, part_of("a"));
  manifest.version = Version::at(manifest.version.ms() + 1);
  const auto read = SignedManifest::verify(SignedManifest::sign(manifest, keys).wire());
  REQUIRE(read);
  CHECK(open_private_part(keys, read->manifest()));
}

TEST_CASE("manifest: a content key other than the one committed to is refused", "[store]") {
  const auto keys = OwnerKeys::generate();
  auto manifest = manifest_of(keys, part_of("a"));
  manifest.key_commitment = commit_to(ContentKey::random(), manifest.blob_id);
  const auto opened = open_private_part(keys, manifest);
  REQUIRE_FALSE(opened);
  CHECK(opened.error().code == Errc::corrupt);
}

TEST_CASE("manifest: the sealed part's length tells little of the name's", "[store]") {
  const auto keys = OwnerKeys::generate();
  CHECK(manifest_of(keys, part_of("a")).sealed.size() ==
        manifest_of(keys, part_of("a somewhat longer one")).sealed.size());
}

TEST_CASE("manifest: a tombstone keeps the name and nothing else", "[store]") {
  const auto keys = OwnerKeys::generate();
  const auto manifest = tombstone_of(keys, "gone");
  const auto read = SignedManifest::verify(SignedManifest::sign(manifest, keys).wire());
  REQUIRE(read);
  CHECK(read->manifest().is_tombstone());
  CHECK_FALSE(read->manifest().is_inline());
  CHECK(open_private_part(keys, read->manifest())->name == "gone");
  auto wrong = manifest;
  wrong.chunk_count = 1;
  CHECK(refusal(wrong, keys) == Errc::invalid);
  wrong = manifest;
  wrong.root = random_id<Root>();
  CHECK(refusal(wrong, keys) == Errc::invalid);
}

TEST_CASE("manifest: fields out of range are refused although they are signed", "[store]") {
  const auto keys = OwnerKeys::generate();
  const auto good = manifest_of(keys, part_of("a"));
  const auto refused = [&](auto change) {
    auto bad = good;
    change(bad);
    return refusal(bad, keys) == Errc::invalid;
  };
  CHECK(refused([](Manifest& m) { m.version = {}; }));
  CHECK(refused([](Manifest& m) { m.kind = static_cast<ObjectKind>(2); }));
  CHECK(refused([](Manifest& m) { m.chunk_bytes = 0; }));
  CHECK(refused([](Manifest& m) { m.chunk_bytes = chunk_bytes_max * 2; }));
  CHECK(refused([](Manifest& m) { m.chunk_count = 4; }));
  CHECK(refused([](Manifest& m) { m.chunk_count = 0; }));
  CHECK(refused([](Manifest& m) { m.size = (1ULL << 50) + 1, m.chunk_count = (1ULL << 30) + 1; }));
  CHECK(refused([](Manifest& m) { m.layout.replicas = 0; }));
  CHECK(refused([](Manifest& m) { m.layout.replicas = 17; }));
  CHECK(refused([](Manifest& m) { m.format = 0; }));
  CHECK(refused([](Manifest& m) { m.sealed.resize(manifest_bytes_max); }));
}

TEST_CASE("manifest: a newer format is told from a damaged one", "[store]") {
  const auto keys = OwnerKeys::generate();
  auto manifest = manifest_of(keys, part_of("a"));
  manifest.format = 2;
  const auto read = SignedManifest::verify(SignedManifest::sign(manifest, keys).wire());
  REQUIRE_FALSE(read);
  CHECK(read.error().code == Errc::invalid);
  CHECK(read.error().what.find("format 2 is newer") != std::string::npos);
}

TEST_CASE("manifest: every truncation and every flipped bit is refused", "[store]") {
  const auto keys = OwnerKeys::generate();
  const auto wire = SignedManifest::sign(manifest_of(keys, part_of("a")), keys).wire();
  for (std::size_t size = 0; size < wire.size(); ++size) {
    REQUIRE_FALSE(SignedManifest::verify(ByteView(wire).first(size)));
  }
  for (std::size_t bit = 0; bit < wire.size() * 8; ++bit) {
    auto damaged = wire;
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    REQUIRE_FALSE(SignedManifest::verify(damaged));
  }
  auto longer = wire;
  longer.push_back(0);
  CHECK_FALSE(SignedManifest::verify(longer));
}

TEST_CASE("manifest: nobody signs for another owner", "[store]") {
  const auto keys = OwnerKeys::generate();
  const auto thief = OwnerKeys::generate();
  auto wire = SignedManifest::sign(manifest_of(keys, part_of("a")), keys).wire();
  const auto body = ByteView(wire).first(wire.size() - Signature::size);
  auto message = to_bytes(as_bytes("zerodb manifest v1"));
  message.insert(message.end(), body.begin(), body.end());
  const auto forged = thief.sign(message);
  std::copy(forged.view().begin(), forged.view().end(), wire.end() - Signature::size);
  CHECK(SignedManifest::verify(wire).error().code == Errc::corrupt);
  CHECK(SignedManifest::trusted(wire));  // which is why only verified bytes may be trusted

  // The same owner's signature made for another purpose does not stand for this one.
  const auto bare = keys.sign(body);
  std::copy(bare.view().begin(), bare.view().end(), wire.end() - Signature::size);
  CHECK_FALSE(SignedManifest::verify(wire));
}

TEST_CASE("manifest: the later version stands, ties are settled by hash", "[store]") {
  const auto keys = OwnerKeys::generate();
  auto manifest = manifest_of(keys, part_of("a"));
  const auto older = SignedManifest::sign(manifest, keys);
  manifest.version = Version::at(manifest.version.ms(), 5);
  const auto newer = SignedManifest::sign(manifest, keys);
  manifest.layout.replicas = 2;
  const auto twin = SignedManifest::sign(manifest, keys);
  CHECK(newer.is_later_than(older));
  CHECK_FALSE(older.is_later_than(newer));
  CHECK_FALSE(newer.is_later_than(newer));
  CHECK(newer.is_later_than(twin) == (newer.hash() > twin.hash()));
  CHECK(newer.is_later_than(twin) != twin.is_later_than(newer));
}

TEST_CASE("manifest: only a private part that fits is let pass", "[store]") {
  const auto keys = OwnerKeys::generate();
  auto part = part_of(std::string(name_bytes_max, 'n'));
  part.media_type.assign(255, 'm');
  part.attributes.clear();
  for (int i = 0; i < 64; ++i) {
    part.attributes.emplace(
        std::string(62, 'k') + static_cast<char>('0' + i / 10) + static_cast<char>('0' + i % 10),
        "");
  }
  CHECK(check_private_part(part));
  const auto largest = SignedManifest::sign(manifest_of(keys, part), keys);
  REQUIRE(SignedManifest::verify(largest.wire()));
  CHECK(open_private_part(keys, largest.manifest())->attributes == part.attributes);

  part.attributes["one more"] = "";
  CHECK_FALSE(check_private_part(part));
  part.attributes = {{"a", std::string(attributes_bytes_max, 'v')}};
  CHECK_FALSE(check_private_part(part));
  part.attributes = {{"a", "\xFF"}};
  CHECK_FALSE(check_private_part(part));
  part.attributes.clear();
  part.media_type += 'm';
  CHECK_FALSE(check_private_part(part));
  part.media_type.clear();
  part.name.clear();
  CHECK_FALSE(check_private_part(part));
}
