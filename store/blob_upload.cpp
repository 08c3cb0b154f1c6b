#include "store/blob_upload.hpp"

#include <unistd.h>

#include "store/blob_format.hpp"
#include "store/hash.hpp"

namespace zerodb {

namespace {

constexpr std::uint64_t writeback_bytes = 8 << 20;
/// How far chunks may run ahead of those that came: bounds the memory a false index can take.
constexpr std::uint64_t missing_chunks_max = 65536;

std::filesystem::path temporary_path(const BlobsState& state) {
  std::array<std::uint8_t, 16> name{};
  fill_random(name);
  return state.folder / "tmp" / to_hex(name);
}

}  // namespace

Status BlobsState::check_trusted() const {
  if (!suspect) return {};
  return fail(Errc::io,
              "disk suspect since an fsync failed; restart after checking the disk under " +
                  folder.string());
}

Status BlobsState::check_free(std::uint64_t least_bytes) const {
  const auto space = disk_space(folder);
  if (!space) return fail(space.error());
  if (space->free_bytes >= least_bytes) return {};
  return fail(Errc::full, std::to_string(space->free_bytes) + " bytes are free on the disk of " +
                              folder.string() + ", less than the reserve of " +
                              std::to_string(least_bytes) + "; make room");
}

Status BlobsState::note_sync(Status synced) {
  if (!synced && synced.error().code != Errc::full) suspect = true;
  return synced;
}

Result<std::unique_ptr<BlobUpload>> BlobUpload::begin(std::shared_ptr<BlobsState> state,
                                                      const UploadSpec& spec) {
  if (spec.chunk_bytes == 0 || spec.chunk_bytes > chunk_bytes_max) {
    return fail(Errc::invalid, "upload: chunks of " + std::to_string(spec.chunk_bytes) + " bytes");
  }
  if (auto trusted = state->check_trusted(); !trusted) return fail(std::move(trusted.error()));
  if (auto space = state->check_space(); !space) return fail(std::move(space.error()));
  auto file = File::create(temporary_path(*state));
  if (!file) {  // a folder that is gone says nothing of the object
    const auto code = file.error().code;
    return fail(code == Errc::not_found ? Errc::io : code, std::move(file.error().what));
  }
  std::unique_ptr<BlobUpload> upload(
      new BlobUpload(std::move(state), spec, std::move(*file)));  // make_unique cannot see it
  const auto header =
      blob_format::encode_header({.binding = spec.binding, .chunk_bytes = spec.chunk_bytes});
  if (auto wrote = upload->file_.write_at(0, header); !wrote) {
    return fail(std::move(wrote.error()));
  }
  return upload;
}

BlobUpload::BlobUpload(std::shared_ptr<BlobsState> state, const UploadSpec& spec, File file)
    : state_(std::move(state)), spec_(spec), file_(std::move(file)) {
  ++state_->uploads;
}

BlobUpload::~BlobUpload() {
  give_up();
  --state_->uploads;
}

void BlobUpload::give_up() {
  if (used_up_) return;
  used_up_ = true;
  ::unlink(file_.path().c_str());
}

Result<Leaf> BlobUpload::write(std::uint64_t index, ByteView sealed) {
  if (auto right = check_size(sealed.size()); !right) return fail(std::move(right.error()));
  const Leaf leaf = leaf_of(sealed);
  const std::shared_lock use(use_mutex_);
  if (used_up_) return fail(Errc::invalid, "upload: already committed or dropped");
  const std::lock_guard one_writer(chunk_mutexes_[index % chunk_mutexes_.size()]);
  const auto needed = admit(index, sealed.size(), leaf);
  if (!needed) return fail(needed.error());
  if (!*needed) return leaf;
  const auto offset = blob_format::chunk_offset(index, spec_.chunk_bytes);
  if (auto wrote = file_.write_at(offset, sealed); !wrote) return fail(std::move(wrote.error()));
  note_written(index, leaf);
  if (auto paced = pace(sealed.size()); !paced) return fail(std::move(paced.error()));
  return leaf;
}

Status BlobUpload::check_size(std::size_t bytes) const {
  if (bytes >= chunk_overhead_bytes && bytes <= full_bytes()) return {};
  return fail(Errc::invalid, "upload: a sealed chunk of " + std::to_string(bytes) + " bytes");
}

/// All chunks but the last are full, so one short chunk fixes where the blob ends.
Status BlobUpload::check_place(std::uint64_t index, std::size_t bytes) const {
  if (index >= present_ + missing_chunks_max) {
    return fail(Errc::invalid, "upload: chunk " + std::to_string(index) + " when only " +
                                   std::to_string(present_) + " are here");
  }
  const bool is_short = bytes < full_bytes();
  const bool after_end =
      last_ && (is_short ? *last_ != Short{index, bytes} : index >= last_->index);
  const bool before_others = is_short && leaves_.size() > index + 1;
  if (!after_end && !before_others) return {};
  return fail(Errc::invalid, "upload: chunk " + std::to_string(index) + " of " +
                                 std::to_string(bytes) + " bytes contradicts where the blob ends");
}

/// False if the chunk is here already. Else counts it as missing until it is written.
Result<bool> BlobUpload::admit(std::uint64_t index, std::size_t bytes, const Leaf& leaf) {
  const std::lock_guard guard(table_mutex_);
  if (auto right = check_place(index, bytes); !right) return fail(std::move(right.error()));
  if (bytes < full_bytes()) last_ = Short{index, bytes};
  if (leaves_.size() <= index) leaves_.resize(index + 1);
  if (leaves_[index] == leaf) return false;
  if (!leaves_[index].is_zero()) --present_;
  leaves_[index] = Leaf{};
  return true;
}

void BlobUpload::note_written(std::uint64_t index, const Leaf& leaf) {
  const std::lock_guard guard(table_mutex_);
  leaves_[index] = leaf;
  ++present_;
}

/// Every few MiB: begins writeback, and looks whether the reserve is still free.
Status BlobUpload::pace(std::size_t bytes) {
  {
    const std::lock_guard guard(table_mutex_);
    bytes_since_writeback_ += bytes;
    if (bytes_since_writeback_ < writeback_bytes) return {};
    bytes_since_writeback_ = 0;
  }
  file_.start_writeback();
  return state_->check_space();
}

Status BlobUpload::check(const SignedManifest& manifest) const {
  if (used_up_) return fail(Errc::invalid, "commit: the upload was used up");
  const std::lock_guard guard(table_mutex_);
  if (manifest->object != spec_.binding.object || manifest->blob_id != spec_.binding.blob_id ||
      manifest->chunk_bytes != spec_.chunk_bytes) {
    return fail(Errc::invalid, "commit: the manifest describes another blob than was uploaded");
  }
  if (present_ != manifest->chunk_count || leaves_.size() != manifest->chunk_count) {
    return fail(Errc::invalid, "commit: " + std::to_string(present_) + " chunks are here, not " +
                                   std::to_string(manifest->chunk_count));
  }
  const auto last_bytes = last_ ? last_->bytes : full_bytes();
  if (last_bytes !=
      blob_format::sealed_chunk_size_at(manifest.manifest(), manifest->chunk_count - 1)) {
    return fail(Errc::invalid, "commit: the last chunk has not the size the manifest says");
  }
  if (root_of(leaves_) == manifest->root) return {};
  return fail(Errc::corrupt, "commit: the chunks do not give the manifest's root");
}

Status BlobUpload::seal(const SignedManifest& manifest) {
  const auto trailer = blob_format::encode_trailer(manifest, leaves_);
  const auto at = blob_format::leaves_offset(manifest.manifest());
  auto done = file_.write_at(at, trailer);
  if (done) done = file_.truncate(at + trailer.size());
  if (!done) return done;
  done = state_->note_sync(file_.sync_data());
  if (!done) give_up();
  return done;
}

}  // namespace zerodb
