#include "store/blob_check.hpp"

#include "store/blob_format.hpp"

namespace zerodb {

namespace {

Status check_agrees(const BlobFileContent& content, const Manifest& manifest) {
  const auto& inside = content.manifest.manifest();
  const auto& file = content.binding;
  if (file.object != manifest.object || file.blob_id != manifest.blob_id ||
      inside.object != manifest.object || inside.blob_id != manifest.blob_id) {
    return fail(Errc::corrupt, "it holds another object's blob");
  }
  if (inside.root != manifest.root || inside.size != manifest.size ||
      inside.chunk_bytes != manifest.chunk_bytes || inside.chunk_count != manifest.chunk_count) {
    return fail(Errc::corrupt, "its manifest describes other content than the index");
  }
  if (auto signed_well = SignedManifest::verify(content.manifest.wire()); !signed_well) {
    return fail(Errc::corrupt, "its manifest: " + signed_well.error().what);
  }
  if (root_of(content.leaves) == manifest.root) return {};
  return fail(Errc::corrupt, "its leaves do not give the signed root");
}

/// A part of a file that cannot be read is damage, whatever the reason.
Error as_damage(const std::filesystem::path& path, const Error& error) {
  return {Errc::corrupt, "the blob file " + path.string() + " is damaged: " + error.what};
}

}  // namespace

Result<BlobCheck> BlobCheck::begin(const std::filesystem::path& path, const Manifest& manifest) {
  auto file = File::open_for_reading(path);
  if (!file && file.error().code == Errc::not_found) {
    return fail(Errc::not_found, "the blob file " + path.string() + " is missing");
  }
  if (!file) return fail(std::move(file.error()));
  file->drop_cached();
  auto content = inspect_blob_file(*file);
  if (!content) return fail(as_damage(path, content.error()));
  if (auto agrees = check_agrees(*content, manifest); !agrees) {
    return fail(as_damage(path, agrees.error()));
  }
  return BlobCheck(std::move(*file), manifest, std::move(content->leaves));
}

Status BlobCheck::check_chunk(std::uint64_t index) {
  buffer_.resize(blob_format::sealed_chunk_size_at(manifest_, index));
  const auto offset = blob_format::chunk_offset(index, manifest_.chunk_bytes);
  const auto got = file_.read_at(offset, buffer_);
  if (!got) return fail(as_damage(file_.path(), got.error()));
  if (*got == buffer_.size() && leaf_of(buffer_) == leaves_[index]) return {};
  return fail(as_damage(file_.path(),
                        {Errc::corrupt, "chunk " + std::to_string(index) + " is not what it was"}));
}

}  // namespace zerodb
