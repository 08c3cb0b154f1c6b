#include "store/blobs.hpp"

#include <unistd.h>

#include <system_error>

#include "store/blob_format.hpp"

namespace zerodb {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t open_blob_files_max = 64;
constexpr std::size_t durable_folders_max = 65536;

Status remove_all_in(const fs::path& folder) {
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();) {
    const auto path = it->path();
    it.increment(error);
    if (!error) fs::remove_all(path, error);
  }
  if (!error) return {};
  return fail(Errc::io, "cannot clear " + folder.string() + ": " + error.message());
}

std::vector<Leaf> leaves_from(ByteView bytes) {
  std::vector<Leaf> leaves;
  leaves.reserve(bytes.size() / Leaf::size);
  for (; bytes.size() >= Leaf::size; bytes = bytes.subspan(Leaf::size)) {
    leaves.push_back(*Leaf::from(bytes.first(Leaf::size)));
  }
  return leaves;
}

Status too_short(const fs::path& path) {
  return fail(Errc::corrupt, path.string() + " is shorter than its manifest says");
}

}  // namespace

Blobs::Blobs(fs::path folder, std::uint64_t reserve_bytes)
    : state_(std::make_shared<BlobsState>()), open_files_(open_blob_files_max) {
  state_->folder = std::move(folder);
  state_->reserve_bytes = reserve_bytes;
}

Status Blobs::prepare() {
  for (const auto* name : {"blobs", "tmp"}) {
    if (auto made = make_folders(state_->folder / name); !made) return made;
  }
  if (auto synced = sync_folder(state_->folder); !synced) return synced;
  return remove_all_in(state_->folder / "tmp");
}

Result<std::unique_ptr<BlobUpload>> Blobs::begin(const UploadSpec& spec) {
  return BlobUpload::begin(state_, spec);
}

fs::path Blobs::path_of(const ChunkBinding& binding) const {
  const auto key = binding.object.hashed_key.hex();
  return state_->folder / "blobs" / binding.object.owner.hex() / key.substr(0, 2) /
         key.substr(2, 2) / (key + "." + binding.blob_id.hex());
}

/// A folder found in place may still be unsynced work of a process that was killed, so the first
/// use in this process syncs its name, whoever made it.
Status Blobs::make_durable_folder(const fs::path& folder) {
  if (folder == state_->folder / "blobs") return {};
  {
    const std::lock_guard guard(folders_mutex_);
    if (durable_folders_.contains(folder.native())) return {};
  }
  const auto parent = folder.parent_path();
  if (auto durable = make_durable_folder(parent); !durable) return durable;
  if (auto made = make_folders(folder); !made) return made;
  if (auto synced = state_->note_sync(sync_folder(parent)); !synced) return synced;
  const std::lock_guard guard(folders_mutex_);
  if (durable_folders_.size() >= durable_folders_max) durable_folders_.clear();
  durable_folders_.insert(folder.native());
  return {};
}

Status Blobs::place(BlobUpload& upload) {
  const auto path = path_of(upload.binding());
  if (auto made = make_durable_folder(path.parent_path()); !made) return made;
  std::error_code error;
  fs::rename(upload.path(), path, error);
  if (error) return fail(Errc::io, "cannot rename to " + path.string() + ": " + error.message());
  upload.finish();
  open_files_.drop(path);
  return state_->note_sync(sync_folder(path.parent_path()));
}

bool Blobs::holds(const ChunkBinding& binding) const {
  std::error_code error;
  return fs::is_regular_file(path_of(binding), error);
}

Result<std::shared_ptr<const File>> Blobs::open(const ChunkBinding& binding) {
  const auto path = path_of(binding);
  auto file = open_files_.get(path);
  if (!file && file.error().code == Errc::not_found) {
    return fail(Errc::not_found, "the blob file " + path.string() + " is missing");
  }
  return file;
}

Status Blobs::read_exactly(const ChunkBinding& binding, std::uint64_t offset, MutableBytes to) {
  const auto file = open(binding);
  if (!file) return fail(file.error());
  const auto got = (*file)->read_at(offset, to);
  if (!got) return fail(got.error());
  if (*got != to.size()) return too_short((*file)->path());
  return {};
}

Result<Payload> Blobs::read_chunk(const Manifest& manifest, std::uint64_t index) {
  const auto size = blob_format::sealed_chunk_size_at(manifest, index);
  const auto offset = blob_format::chunk_offset(index, manifest.chunk_bytes);
  const auto memory = std::make_shared_for_overwrite<std::uint8_t[]>(size);
  const MutableBytes to(memory.get(), size);
  if (auto read = read_exactly(manifest.binding(), offset, to); !read) {
    return fail(std::move(read.error()));
  }
  return Payload(memory, to);
}

Result<std::vector<Leaf>> Blobs::read_leaves(const Manifest& manifest, std::uint64_t first,
                                             std::size_t count) {
  Bytes bytes(count * Leaf::size);
  const auto offset = blob_format::leaves_offset(manifest) + first * Leaf::size;
  if (auto read = read_exactly(manifest.binding(), offset, bytes); !read) {
    return fail(std::move(read.error()));
  }
  return leaves_from(bytes);
}

Status Blobs::remove(const ChunkBinding& binding) {
  const auto path = path_of(binding);
  std::error_code error;
  fs::remove(path, error);
  open_files_.drop(path);
  if (!error) return {};
  return fail(Errc::io, "cannot remove " + path.string() + ": " + error.message());
}

namespace {

Result<Bytes> read_part(const File& file, std::uint64_t offset, std::uint64_t size) {
  Bytes bytes(size);
  const auto got = file.read_at(offset, bytes);
  if (!got) return fail(got.error());
  if (*got != size) return fail(Errc::corrupt, "shorter than it says");
  return bytes;
}

Result<blob_format::Footer> read_footer(const File& file) {
  const auto size = file.size();
  if (!size) return fail(size.error());
  if (*size < blob_format::header_bytes + blob_format::footer_bytes) {
    return fail(Errc::corrupt, "too short for a blob file");
  }
  const auto bytes = read_part(file, *size - blob_format::footer_bytes, blob_format::footer_bytes);
  if (!bytes) return fail(bytes.error());
  auto footer = blob_format::decode_footer(*bytes);
  if (!footer) return footer;
  const bool agrees =
      footer->manifest_bytes <= manifest_bytes_max && footer->chunk_count <= *size / Leaf::size &&
      footer->leaves_at + footer->chunk_count * Leaf::size == footer->manifest_at &&
      footer->manifest_at + footer->manifest_bytes + blob_format::footer_bytes == *size;
  if (!agrees) return fail(Errc::corrupt, "its footer contradicts its size");
  const auto wire = read_part(file, footer->manifest_at, footer->manifest_bytes);
  if (!wire) return fail(wire.error());
  if (auto whole = blob_format::check_footer(*bytes, *wire); !whole) {
    return fail(std::move(whole.error()));
  }
  return footer;
}

}  // namespace

Result<BlobFileContent> inspect_blob_file(const File& file) {
  const auto head = read_part(file, 0, blob_format::header_bytes);
  if (!head) return fail(head.error());
  auto header = blob_format::decode_header(*head);
  if (!header) return fail(std::move(header.error()));
  const auto footer = read_footer(file);
  if (!footer) return fail(footer.error());
  const auto wire = read_part(file, footer->manifest_at, footer->manifest_bytes);
  if (!wire) return fail(wire.error());
  auto manifest = SignedManifest::trusted(*wire);
  if (!manifest) return fail(std::move(manifest.error()));
  const auto table = read_part(file, footer->leaves_at, footer->chunk_count * Leaf::size);
  if (!table) return fail(table.error());
  return BlobFileContent{
      .binding = header->binding, .manifest = std::move(*manifest), .leaves = leaves_from(*table)};
}

Result<BlobFileContent> inspect_blob_file(const fs::path& path) {
  const auto file = File::open_for_reading(path);
  if (!file) return fail(file.error());
  auto content = inspect_blob_file(*file);
  if (!content) return fail(path.string(), std::move(content.error()));
  return content;
}

}  // namespace zerodb
