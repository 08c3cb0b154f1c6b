#include "store/blobs.hpp"

#include <algorithm>
#include <fstream>
#include <random>
#include <thread>

#include "store/hash.hpp"
#include "tests/store/disk_fixture.hpp"

using namespace zerodb;
using namespace zerodb::test;
using sim::seal_object;
using Kind = CommitOutcome::Kind;

namespace {

constexpr std::uint64_t several_chunks_bytes = 5 * (1 << 20) + 77;

std::unique_ptr<Upload> begin(const Disk& disk, const sim::SealedObject& object) {
  return disk->begin_upload({.binding = object.manifest->binding()}).value();
}

/// Turns the byte at `offset` (from the end if negative) over.
void damage(const std::filesystem::path& path, std::int64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  const auto from = offset < 0 ? std::ios::end : std::ios::beg;
  file.seekg(offset, from);
  const auto byte = static_cast<char>(~file.get());
  file.seekp(offset, from);
  file.put(byte);
}

}  // namespace

TEST_CASE("blobs: chunks come in any order, and again", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = several_chunks_bytes});
  auto upload = begin(disk, object);
  for (const std::size_t i : {5U, 2U, 0U, 5U, 4U, 1U, 2U, 3U}) {
    const auto leaf = upload->write(i, object.chunks[i]);
    REQUIRE(leaf);
    CHECK(*leaf == leaf_of(object.chunks[i]));
  }
  CHECK(disk->commit_upload(*upload, object.manifest)->kind == Kind::stored);
  check_content(*disk.store, object);
}

TEST_CASE("blobs: chunks come from several threads", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = several_chunks_bytes});
  auto upload = begin(disk, object);
  std::vector<std::thread> writers;
  for (unsigned t = 0; t < 4; ++t) {
    writers.emplace_back([&, t] {
      std::vector<std::size_t> order{0, 1, 2, 3, 4, 5};
      std::ranges::shuffle(order, std::minstd_rand(t));
      for (const auto i : order)
        (void)upload->write(i, object.chunks[i]);
    });
  }
  for (auto& writer : writers)
    writer.join();
  CHECK(disk->commit_upload(*upload, object.manifest)->kind == Kind::stored);
  check_content(*disk.store, object);
}

TEST_CASE("blobs: a chunk sent wrongly first is replaced by the right one", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = several_chunks_bytes});
  auto upload = disk.upload(object);
  REQUIRE(upload->write(1, object.chunks[2]));
  CHECK(error_of(disk->commit_upload(*upload, object.manifest)) == Errc::corrupt);
  REQUIRE(upload->write(1, object.chunks[1]));
  CHECK(disk->commit_upload(*upload, object.manifest)->kind == Kind::stored);
  check_content(*disk.store, object);
}

TEST_CASE("blobs: a commit with chunks missing is refused and can be completed", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = several_chunks_bytes});
  auto upload = begin(disk, object);
  for (const std::size_t i : {0U, 1U, 3U, 4U, 5U})
    REQUIRE(upload->write(i, object.chunks[i]));
  const auto refused = disk->commit_upload(*upload, object.manifest);
  CHECK(error_of(refused) == Errc::invalid);
  CHECK(refused.error().what == "commit: 5 chunks are here, not 6");
  CHECK_FALSE(*disk->latest(object.id()));
  REQUIRE(upload->write(2, object.chunks[2]));
  CHECK(disk->commit_upload(*upload, object.manifest)->kind == Kind::stored);
}

TEST_CASE("blobs: chunks that cannot be right are refused", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = several_chunks_bytes});
  const auto& full = object.chunks[0];
  const auto& last = object.chunks[5];
  auto upload = begin(disk, object);
  CHECK(error_of(upload->write(0, {})) == Errc::invalid);
  CHECK(error_of(upload->write(0, Bytes(15))) == Errc::invalid);
  CHECK(error_of(upload->write(0, Bytes(sealed_chunk_bytes_max + 1))) == Errc::invalid);
  CHECK(error_of(upload->write(std::uint64_t{1} << 40, full)) == Errc::invalid);
  CHECK(error_of(upload->write(forever, full)) == Errc::invalid);
  REQUIRE(upload->write(3, full));
  CHECK(error_of(upload->write(2, last)) == Errc::invalid);  // short, yet one comes after it
  REQUIRE(upload->write(5, last));
  CHECK(error_of(upload->write(5, full)) == Errc::invalid);
  CHECK(error_of(upload->write(6, full)) == Errc::invalid);
  CHECK(error_of(upload->write(6, last)) == Errc::invalid);
  CHECK(error_of(upload->write(4, last)) == Errc::invalid);
  for (const auto chunk_bytes : {0U, chunk_bytes_max + 1}) {
    CHECK(error_of(disk->begin_upload({.binding = object.manifest->binding(),
                                       .chunk_bytes = chunk_bytes})) == Errc::invalid);
  }
}

TEST_CASE("blobs: a last chunk of another length than the manifest's is refused", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 1'500'000});
  auto upload = begin(disk, object);
  REQUIRE(upload->write(0, object.chunks[0]));
  REQUIRE(upload->write(1, ByteView(object.chunks[1]).first(1000)));
  CHECK(error_of(disk->commit_upload(*upload, object.manifest)) == Errc::invalid);
}

TEST_CASE("blobs: an upload that is dropped leaves nothing", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  auto upload = disk.upload(object);
  CHECK(disk.stats().uploads == 1);
  CHECK_FALSE(std::filesystem::is_empty(disk.dir / "tmp"));
  upload.reset();
  CHECK(disk.stats().uploads == 0);
  CHECK(std::filesystem::is_empty(disk.dir / "tmp"));
  CHECK(disk.blob_files().empty());
}

TEST_CASE("blobs: where uploads cannot be kept, that is not taken for an object that is missing",
          "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  std::filesystem::remove_all(disk.dir / "tmp");
  CHECK(error_of(disk->begin_upload({.binding = object.manifest->binding()})) == Errc::io);
}

TEST_CASE("blobs: an upload may outlive its store", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  auto upload = disk.upload(object);
  disk.store.reset();
  CHECK(upload->write(0, object.chunks[0]));
  upload.reset();
  CHECK(std::filesystem::is_empty(disk.dir / "tmp"));
}

TEST_CASE("blobs: a file lies where FORMAT.md says", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  disk.put(object);
  const auto key = object.id().hashed_key.hex();
  const auto path = disk.dir / "blobs" / disk.owner.id().hex() / key.substr(0, 2) /
                    key.substr(2, 2) / (key + "." + object.manifest->blob_id.hex());
  CHECK(disk.blob_files() == std::vector{path});
  CHECK(std::filesystem::file_size(path) ==
        128 + 100'016 + 32 + object.manifest.wire().size() + 64);
}

TEST_CASE("blobs: a damaged chunk is handed out as it is, and its leaf tells", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = several_chunks_bytes});
  disk.put(object);
  damage(disk.blob_files().at(0), 128 + sealed_chunk_bytes_max + 5);
  const auto chunk = disk->read_chunk(object.manifest, 1);
  REQUIRE(chunk);
  const auto leaf = disk->read_leaves(object.manifest, 1, 1)->at(0);
  CHECK(leaf == leaf_of(object.chunks[1]));
  CHECK(leaf != leaf_of(chunk->view()));
  CHECK(leaf_of(disk->read_chunk(object.manifest, 0)->view()) == leaf_of(object.chunks[0]));
}

TEST_CASE("blobs: a file that was cut is corrupt, one that is gone is not found", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = several_chunks_bytes});
  disk.put(object);
  const auto path = disk.blob_files().at(0);
  SECTION("cut") {
    std::filesystem::resize_file(path, 2'000'000);
    CHECK(disk->read_chunk(object.manifest, 0));
    CHECK(error_of(disk->read_chunk(object.manifest, 1)) == Errc::corrupt);
    CHECK(error_of(disk->read_leaves(object.manifest, 0, 1)) == Errc::corrupt);
  }
  SECTION("gone") {
    std::filesystem::remove(path);
    const auto chunk = disk->read_chunk(object.manifest, 0);
    CHECK(error_of(chunk) == Errc::not_found);
    CHECK(chunk.error().what.find(path.string()) != std::string::npos);
    CHECK(error_of(disk->read_leaves(object.manifest, 0, 1)) == Errc::not_found);
  }
}

TEST_CASE("blobs: leaves are read in parts, clipped to the end", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = several_chunks_bytes});
  disk.put(object);
  const auto part = disk->read_leaves(object.manifest, 4, 100);
  REQUIRE(part);
  CHECK(*part == std::vector{leaf_of(object.chunks[4]), leaf_of(object.chunks[5])});
  CHECK(disk->read_leaves(object.manifest, 6, 1)->empty());
  CHECK(disk->read_leaves(object.manifest, forever, 1)->empty());
  CHECK(disk->read_leaves(object.manifest, 0, 0)->empty());
}

TEST_CASE("blobs: more files are read than may stay open", "[store]") {
  Disk disk;
  std::vector<sim::SealedObject> objects;
  for (int i = 0; i < 70; ++i) {
    objects.push_back(seal_object(disk.owner, {.name = std::to_string(i), .size = 66'000}));
    disk.put(objects.back());
  }
  for (int round = 0; round < 2; ++round) {
    for (const auto& object : objects)
      check_content(*disk.store, object);
  }
}

TEST_CASE("blobs: an open file is not read on after another took its name", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  disk.put(object);
  damage(disk.blob_files().at(0), 1000);
  CHECK(leaf_of(disk->read_chunk(object.manifest, 0)->view()) != leaf_of(object.chunks[0]));
  disk.put(object);  // mends it
  check_content(*disk.store, object);
}

TEST_CASE("blobs: a file tells all that an index would need", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = several_chunks_bytes});
  disk.put(object);
  const auto content = inspect_blob_file(disk.blob_files().at(0));
  REQUIRE(content);
  CHECK(content->binding.object == object.id());
  CHECK(content->binding.blob_id == object.manifest->blob_id);
  CHECK(content->manifest.wire() == object.manifest.wire());
  REQUIRE(content->leaves.size() == 6);
  CHECK(content->leaves[5] == leaf_of(object.chunks[5]));
}

TEST_CASE("blobs: a committed retry leaves no trace of the longer trailer before", "[store]") {
  Disk disk;
  auto manifest = seal_object(disk.owner, {.size = 100'000}).manifest.manifest();
  const auto object = seal_object(disk.owner, {.size = 100'000});
  Blobs blobs(disk.dir.path(), 0);
  auto upload = blobs.begin({.binding = object.manifest->binding()}).value();
  REQUIRE(upload->write(0, object.chunks[0]));
  manifest = object.manifest.manifest();
  manifest.sealed = Bytes(2000);
  REQUIRE(upload->seal(SignedManifest::sign(manifest, disk.owner)));
  REQUIRE(upload->seal(object.manifest));
  REQUIRE(blobs.place(*upload));
  const auto content = inspect_blob_file(blobs.path_of(object.manifest->binding()));
  REQUIRE(content);
  CHECK(content->manifest.wire() == object.manifest.wire());
}

TEST_CASE("blobs: damage to header, manifest or footer is noticed", "[store]") {
  Disk disk;
  const auto object = seal_object(disk.owner, {.size = 100'000});
  disk.put(object);
  const auto path = disk.blob_files().at(0);
  const auto offset = GENERATE(as<std::int64_t>(), 0, 20, 60, 90, 120, -1, -20, -40, -63, -100);
  damage(path, offset);
  CHECK(error_of(inspect_blob_file(path)) == Errc::corrupt);
}

TEST_CASE("blobs: files of no or a newer format are told apart", "[store]") {
  const TempDir dir;
  std::ofstream(dir / "empty").flush();
  CHECK(error_of(inspect_blob_file(dir / "empty")) == Errc::corrupt);
  CHECK(error_of(inspect_blob_file(dir / "none")) == Errc::not_found);
  std::string newer = "zdb-blob";
  newer += std::string("\0\0\0\2", 4) + std::string(500, '\0');
  std::ofstream(dir / "newer") << newer;
  CHECK(error_of(inspect_blob_file(dir / "newer")) == Errc::invalid);
}
