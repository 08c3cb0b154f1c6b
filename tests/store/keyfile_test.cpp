#include "store/keyfile.hpp"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/support/same.hpp"
#include "tests/support/temp_dir.hpp"

using namespace zerodb;
using test::same;
using test::TempDir;
namespace fs = std::filesystem;

namespace {

constexpr std::string_view passphrase = "correct horse";

Status save_locked(const fs::path& path, const Seed& seed) {
  return SeedFile::save(path, seed, passphrase, {}, PassphraseCost::interactive);
}

unsigned mode_of(const fs::path& path) {
  return static_cast<unsigned>(fs::status(path).permissions());
}

std::size_t file_count(const TempDir& dir) {
  return static_cast<std::size_t>(
      std::distance(fs::directory_iterator(dir.path()), fs::directory_iterator()));
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// In place and unsynced, which is quicker; the mode stays.
void overwrite(const fs::path& path, ByteView content) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << as_text(content);
}

/// Puts the right checksum at the end of what was changed.
void rewrite(const fs::path& path, Bytes file) {
  const auto checksum = blake2b_256("zerodb key file", {ByteView(file).first(file.size() - 32)});
  std::ranges::copy(checksum, file.end() - 32);
  REQUIRE(write_secret_file(path, file, {.replace = true}));
}

}  // namespace

TEST_CASE("secret_file: written whole, readable by its owner only, nothing else left", "[store]") {
  const TempDir dir;
  const auto old_mask = ::umask(0);
  REQUIRE(write_secret_file(dir / "secret", as_bytes("content")));
  ::umask(old_mask);
  CHECK(mode_of(dir / "secret") == 0600);
  CHECK(as_text(*read_secret_file(dir / "secret")) == "content");
  CHECK(file_count(dir) == 1);
}

TEST_CASE("secret_file: an existing file stays unless it is to be replaced", "[store]") {
  const TempDir dir;
  REQUIRE(write_secret_file(dir / "secret", as_bytes("first")));
  const auto again = write_secret_file(dir / "secret", as_bytes("second"));
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Errc::invalid);
  CHECK(contains(again.error().what, "exists already"));
  CHECK(as_text(*read_secret_file(dir / "secret")) == "first");
  REQUIRE(write_secret_file(dir / "secret", as_bytes("second"), {.replace = true}));
  CHECK(as_text(*read_secret_file(dir / "secret")) == "second");
  CHECK(file_count(dir) == 1);
}

TEST_CASE("secret_file: a missing folder or file is told as such", "[store]") {
  const TempDir dir;
  CHECK(read_secret_file(dir / "none").error().code == Errc::not_found);
  const auto written = write_secret_file(dir / "none" / "secret", as_bytes("x"));
  REQUIRE_FALSE(written);
  CHECK(contains(written.error().what, "none/secret"));
}

TEST_CASE("secret_file: open to other users is refused with the remedy", "[store]") {
  const TempDir dir;
  const auto path = dir / "secret";
  REQUIRE(write_secret_file(path, as_bytes("content")));
  for (const unsigned mode : {0640, 0604, 0620, 0602, 0601, 0777}) {
    fs::permissions(path, static_cast<fs::perms>(mode));
    const auto read = read_secret_file(path);
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Errc::denied);
    CHECK(contains(read.error().what, "chmod 600 " + path.string()));
  }
  fs::permissions(path, static_cast<fs::perms>(0400));
  CHECK(read_secret_file(path));
}

TEST_CASE("secret_file: a folder, a pipe and a huge file are no secret files", "[store]") {
  const TempDir dir;
  fs::create_directory(dir / "folder");
  CHECK_FALSE(read_secret_file(dir / "folder"));
  REQUIRE(::mkfifo((dir / "pipe").c_str(), 0600) == 0);
  CHECK_FALSE(read_secret_file(dir / "pipe"));
  REQUIRE(write_secret_file(dir / "long", Bytes(101)));
  CHECK(read_secret_file(dir / "long", 101));
  CHECK(read_secret_file(dir / "long", 100).error().code == Errc::corrupt);
}

TEST_CASE("keyfile: a node's keys are the same after a restart", "[store]") {
  const TempDir dir;
  const auto keys = NodeKeys::generate();
  REQUIRE(NodeKeyFile::save(dir / "node", keys));
  const auto loaded = NodeKeyFile::load(dir / "node");
  REQUIRE(loaded);
  CHECK(loaded->curve.public_key == keys.curve.public_key);
  CHECK(same(loaded->curve.secret.view(), keys.curve.secret.view()));
  CHECK(loaded->sign.public_key() == keys.sign.public_key());
  CHECK_FALSE(NodeKeyFile::save(dir / "node", NodeKeys::generate()));
}

TEST_CASE("keyfile: a seed is kept plain or under a passphrase", "[store]") {
  const TempDir dir;
  const auto seed = Seed::random();
  REQUIRE(SeedFile::save(dir / "plain", seed, std::nullopt));
  CHECK_FALSE(*SeedFile::is_locked(dir / "plain"));
  CHECK(same(SeedFile::load(dir / "plain", std::nullopt)->view(), seed.view()));
  CHECK(same(SeedFile::load(dir / "plain", "needless")->view(), seed.view()));

  REQUIRE(save_locked(dir / "locked", seed));
  CHECK(*SeedFile::is_locked(dir / "locked"));
  CHECK(same(SeedFile::load(dir / "locked", passphrase)->view(), seed.view()));
  const auto file = *read_secret_file(dir / "locked");
  CHECK(std::ranges::search(file, seed.view()).empty());
}

TEST_CASE("keyfile: a wrong passphrase is denied, a missing one asked for", "[store]") {
  const TempDir dir;
  const auto path = dir / "owner.key";
  REQUIRE(save_locked(path, Seed::random()));
  for (const auto* wrong : {"correct horsf", "", "correct horse "}) {
    const auto loaded = SeedFile::load(path, wrong);
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().code == Errc::denied);
    CHECK(contains(loaded.error().what, "wrong passphrase"));
    CHECK(contains(loaded.error().what, path.string()));
  }
  CHECK(SeedFile::load(path, std::nullopt).error().code == Errc::invalid);
}

TEST_CASE("keyfile: the same seed and passphrase never give the same file", "[store]") {
  const TempDir dir;
  const auto seed = Seed::random();
  REQUIRE(save_locked(dir / "one", seed));
  REQUIRE(save_locked(dir / "two", seed));
  CHECK(*read_secret_file(dir / "one") != *read_secret_file(dir / "two"));
}

TEST_CASE("keyfile: any damaged or missing byte is corrupt, not a wrong passphrase", "[store]") {
  const TempDir dir;
  const auto path = dir / "key";
  REQUIRE(save_locked(path, Seed::random()));
  const auto whole = *read_secret_file(path);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    auto damaged = whole;
    damaged[i] ^= 0x01;
    overwrite(path, damaged);
    const auto loaded = SeedFile::load(path, passphrase);
    REQUIRE_FALSE(loaded);
    REQUIRE(loaded.error().code == Errc::corrupt);
    overwrite(path, ByteView(whole).first(i));
    REQUIRE(SeedFile::load(path, passphrase).error().code == Errc::corrupt);
  }
}

TEST_CASE("keyfile: costs beyond reason are refused before they are paid", "[store]") {
  const TempDir dir;
  const auto path = dir / "key";
  REQUIRE(save_locked(path, Seed::random()));
  const auto whole = *read_secret_file(path);
  const auto with_cost = [&](std::uint64_t operations, std::uint64_t memory_bytes) {
    auto file = whole;
    put_u64(MutableBytes(file).subspan(10), operations);
    put_u64(MutableBytes(file).subspan(18), memory_bytes);
    rewrite(path, file);
    const auto loaded = SeedFile::load(path, passphrase);
    REQUIRE_FALSE(loaded);
    return loaded.error().code;
  };
  CHECK(with_cost(11, 64 << 20) == Errc::corrupt);
  CHECK(with_cost(0, 64 << 20) == Errc::corrupt);
  CHECK(with_cost(2, (1ULL << 30) + 1) == Errc::corrupt);
  CHECK(with_cost(2, ~0ULL) == Errc::corrupt);
  CHECK(with_cost(2, 0) == Errc::corrupt);
  // A cheaper cost than the one it was sealed under opens nothing.
  CHECK(with_cost(1, 8192) == Errc::denied);
}

TEST_CASE("keyfile: a newer format and another kind of file are told from damage", "[store]") {
  const TempDir dir;
  REQUIRE(SeedFile::save(dir / "seed", Seed::random(), std::nullopt));
  REQUIRE(NodeKeyFile::save(dir / "node", NodeKeys::generate()));
  CHECK(
      contains(SeedFile::load(dir / "node", std::nullopt).error().what, "not a key file of this"));
  CHECK(contains(NodeKeyFile::load(dir / "seed").error().what, "not a key file of this"));
  auto file = *read_secret_file(dir / "seed");
  file[8] = 2;
  rewrite(dir / "seed", file);
  const auto newer = SeedFile::load(dir / "seed", std::nullopt);
  CHECK(newer.error().code == Errc::invalid);
  CHECK(contains(newer.error().what, "newer than this program knows"));
  file[8] = 1;
  file[9] = 2;
  rewrite(dir / "seed", file);
  CHECK(SeedFile::load(dir / "seed", std::nullopt).error().code == Errc::corrupt);
  CHECK(SeedFile::load(dir / "none", std::nullopt).error().code == Errc::not_found);
}
