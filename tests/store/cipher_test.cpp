#include "store/cipher.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;

namespace {

struct Sealed {
  ContentKey key = ContentKey::random();
  ChunkBinding binding{{random_id<OwnerId>(), random_id<HashedKey>()}, random_id<BlobId>()};
  Bytes plain;
  std::vector<Bytes> chunks;

  explicit Sealed(std::size_t count, std::size_t bytes = 100) {
    for (std::size_t i = 0; i < count; ++i) {
      plain.assign(bytes, static_cast<std::uint8_t>(i + 1));
      Bytes sealed(bytes + chunk_overhead_bytes);
      seal_chunk(key, binding, {.index = i, .last = i + 1 == count}, plain, sealed);
      chunks.push_back(std::move(sealed));
    }
  }

  Status open(ByteView sealed, ChunkPosition position) const {
    Bytes out(sealed.size() - chunk_overhead_bytes, 0xEE);
    const auto opened = open_chunk(key, binding, position, sealed, out);
    // Nothing unauthenticated may ever be left to read.
    if (!opened) CHECK(out == Bytes(out.size()));
    return opened;
  }
};

}  // namespace

TEST_CASE("cipher: chunks of every length open to what was sealed", "[store]") {
  const Sealed about(0);
  for (const std::size_t size :
       {0UL, 1UL, 63UL, 64UL, 65UL, 4096UL, std::size_t{chunk_bytes_max}}) {
    CAPTURE(size);
    Bytes plain(size);
    fill_random(plain);
    Bytes sealed(size + chunk_overhead_bytes);
    seal_chunk(about.key, about.binding, {.index = 3, .last = true}, plain, sealed);
    Bytes opened(size);
    REQUIRE(open_chunk(about.key, about.binding, {.index = 3, .last = true}, sealed, opened));
    CHECK(opened == plain);
  }
}

TEST_CASE("cipher: sealing and opening work in place", "[store]") {
  const Sealed about(1);
  Bytes memory = about.plain;
  memory.resize(memory.size() + chunk_overhead_bytes);
  const auto inner = MutableBytes(memory).first(about.plain.size());
  seal_chunk(about.key, about.binding, {.index = 0, .last = true}, inner, memory);
  CHECK(memory == about.chunks[0]);
  REQUIRE(open_chunk(about.key, about.binding, {.index = 0, .last = true}, memory, inner));
  CHECK(std::ranges::equal(inner, about.plain));
}

TEST_CASE("cipher: swapped chunks do not open", "[store]") {
  const Sealed sealed(3);
  CHECK(sealed.open(sealed.chunks[0], {.index = 0}));
  CHECK(sealed.open(sealed.chunks[1], {.index = 1}));
  CHECK_FALSE(sealed.open(sealed.chunks[0], {.index = 1}));
  CHECK_FALSE(sealed.open(sealed.chunks[1], {.index = 0}));
}

TEST_CASE("cipher: an object cut at a chunk's end does not open", "[store]") {
  const Sealed sealed(3);
  CHECK_FALSE(sealed.open(sealed.chunks[1], {.index = 1, .last = true}));
  CHECK_FALSE(sealed.open(sealed.chunks[2], {.index = 2, .last = false}));
  CHECK(sealed.open(sealed.chunks[2], {.index = 2, .last = true}));
}

TEST_CASE("cipher: a chunk of another blob, key name, owner or content key does not open",
          "[store]") {
  const Sealed sealed(1);
  Bytes out(sealed.plain.size());
  const auto opens = [&](const ContentKey& key, const ChunkBinding& binding) {
    return open_chunk(key, binding, {.index = 0, .last = true}, sealed.chunks[0], out).has_value();
  };
  CHECK(opens(sealed.key, sealed.binding));
  auto binding = sealed.binding;
  binding.blob_id = random_id<BlobId>();
  CHECK_FALSE(opens(sealed.key, binding));
  binding = sealed.binding;
  binding.object.hashed_key = random_id<HashedKey>();
  CHECK_FALSE(opens(sealed.key, binding));
  binding = sealed.binding;
  binding.object.owner = random_id<OwnerId>();
  CHECK_FALSE(opens(sealed.key, binding));
  CHECK_FALSE(opens(ContentKey::random(), sealed.binding));
}

TEST_CASE("cipher: one flipped bit anywhere is refused as corrupt", "[store]") {
  const Sealed sealed(1, 40);
  for (std::size_t bit = 0; bit < sealed.chunks[0].size() * 8; ++bit) {
    auto damaged = sealed.chunks[0];
    damaged[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    const auto opened = sealed.open(damaged, {.index = 0, .last = true});
    REQUIRE_FALSE(opened);
    REQUIRE(opened.error().code == Errc::corrupt);
  }
}

TEST_CASE("cipher: a sealed chunk cut short or of a length that cannot be is refused", "[store]") {
  const Sealed sealed(1, 40);
  for (std::size_t size = chunk_overhead_bytes; size < sealed.chunks[0].size(); ++size) {
    REQUIRE_FALSE(sealed.open(ByteView(sealed.chunks[0]).first(size), {.index = 0, .last = true}));
  }
  Bytes out(40, 0xEE);
  for (const std::size_t size : {0, 15, 16, 55}) {
    const auto cut = ByteView(sealed.chunks[0]).first(size);
    REQUIRE_FALSE(open_chunk(sealed.key, sealed.binding, {.index = 0, .last = true}, cut, out));
    REQUIRE(out == Bytes(40));
  }
}

TEST_CASE("cipher: an object has at least one chunk and only the last is short", "[store]") {
  constexpr std::uint64_t full = chunk_bytes_max;
  CHECK(chunk_count_of(0, chunk_bytes_max) == 1);
  CHECK(chunk_count_of(1, chunk_bytes_max) == 1);
  CHECK(chunk_count_of(full, chunk_bytes_max) == 1);
  CHECK(chunk_count_of(full + 1, chunk_bytes_max) == 2);
  CHECK(chunk_count_of(5ULL << 30, chunk_bytes_max) == 5120);
  CHECK(chunk_size_at(0, 0, chunk_bytes_max) == 0);
  CHECK(chunk_size_at(0, full, chunk_bytes_max) == full);
  CHECK(chunk_size_at(0, full + 1, chunk_bytes_max) == full);
  CHECK(chunk_size_at(1, full + 1, chunk_bytes_max) == 1);
}

TEST_CASE("cipher: the root tells leaves, their order and their number", "[store]") {
  const auto a = leaf_of(as_bytes("a"));
  const auto b = leaf_of(as_bytes("b"));
  CHECK(a != b);
  CHECK(root_of(std::vector{a, b}) == root_of(std::vector{a, b}));
  CHECK(root_of(std::vector{a, b}) != root_of(std::vector{b, a}));
  CHECK(root_of(std::vector{a}) != root_of(std::vector{a, a}));
  CHECK(root_of(std::span<const Leaf>()) != root_of({Leaf{}}));
}

TEST_CASE("cipher: a commitment fits one key and one blob", "[store]") {
  const auto key = ContentKey::random();
  const auto blob = random_id<BlobId>();
  CHECK(commit_to(key, blob) == commit_to(key.clone(), blob));
  CHECK(commit_to(key, blob) != commit_to(ContentKey::random(), blob));
  CHECK(commit_to(key, blob) != commit_to(key, random_id<BlobId>()));
}

TEST_CASE("cipher: a small secret opens with its key and its associated data only", "[store]") {
  const auto key = Secret<32>::random();
  const auto sealed = seal_small(key, as_bytes("about"), as_bytes("secret"));
  CHECK(sealed != seal_small(key, as_bytes("about"), as_bytes("secret")));
  CHECK(as_text(*open_small(key, as_bytes("about"), sealed)) == "secret");
  CHECK_FALSE(open_small(key, as_bytes("other"), sealed));
  CHECK_FALSE(open_small(Secret<32>::random(), as_bytes("about"), sealed));
  for (std::size_t size = 0; size < sealed.size(); ++size) {
    const auto opened = open_small(key, as_bytes("about"), ByteView(sealed).first(size));
    REQUIRE_FALSE(opened);
    REQUIRE(opened.error().code == Errc::corrupt);
  }
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    auto damaged = sealed;
    damaged[i] ^= 0x10;
    REQUIRE_FALSE(open_small(key, as_bytes("about"), damaged));
  }
}
