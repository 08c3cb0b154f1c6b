#include "tests/sim/memory_store.hpp"

#include "store/cipher.hpp"
#include "store/hash.hpp"
#include "store/tally.hpp"

namespace zerodb::sim {

namespace {

/// What a version adds to the running digest of its partition, or takes away. The same as on disk,
/// as gateways work out what digests become.
void count_in(PartitionDigest& digest, const SignedManifest& manifest, bool add) {
  auto sum = Sum128::from(digest);
  const auto own = digest_of(counted(manifest).entry);
  if (add)
    sum += own;
  else
    sum -= own;
  digest = sum.bytes();
}

Root root_over(const std::map<std::uint64_t, Leaf>& leaves) {
  RootHasher hasher;
  for (const auto& [index, leaf] : leaves)
    hasher.add(leaf);
  return hasher.finish();
}

/// True if chunks 0 .. count - 1 are there, no other, and they give the root.
bool match(const std::map<std::uint64_t, Leaf>& leaves, const Manifest& manifest) {
  return leaves.size() == manifest.chunk_count && !leaves.empty() &&
         leaves.rbegin()->first == manifest.chunk_count - 1 && root_over(leaves) == manifest.root;
}

}  // namespace

class MemoryStore::MemoryUpload : public Upload {
 public:
  MemoryUpload(MemoryStore& store, const UploadSpec& spec)
      : store_(store), spec_(spec), blob_(std::make_shared<Blob>()) {}
  ~MemoryUpload() override {
    const std::lock_guard lock(store_.mutex_);
    --store_.uploads_;
  }

  Result<Leaf> write(std::uint64_t index, ByteView sealed) override {
    const auto full = spec_.chunk_bytes + chunk_overhead_bytes;
    if (sealed.size() < chunk_overhead_bytes || sealed.size() > full || index > (1ULL << 40)) {
      return fail(Errc::invalid, "upload: chunk " + std::to_string(index) + " of " +
                                     std::to_string(sealed.size()) + " bytes cannot be right");
    }
    const auto leaf = leaf_of(sealed);
    const std::lock_guard lock(store_.mutex_);
    if (auto writable = store_.check_writable(); !writable) return fail(writable.error());
    blob_->chunks[index] = Payload::copy_of(sealed);
    blob_->leaves[index] = leaf;
    return leaf;
  }

  const BlobId& blob_id() const override { return spec_.binding.blob_id; }
  const UploadSpec& spec() const { return spec_; }
  const std::shared_ptr<Blob>& blob() const { return blob_; }

 private:
  MemoryStore& store_;
  UploadSpec spec_;
  std::shared_ptr<Blob> blob_;
};

Status MemoryStore::check_writable() const {
  if (write_error_) return fail(*write_error_);
  return {};
}

Result<std::optional<SignedManifest>> MemoryStore::latest(const ObjectId& object) {
  const std::lock_guard lock(mutex_);
  const auto found = objects_.find(place_of(object));
  if (found == objects_.end()) return std::optional<SignedManifest>{};
  return std::optional(found->second.rbegin()->second.manifest);
}

const MemoryStore::Kept* MemoryStore::kept_with(const ObjectId& object,
                                                const BlobId& blob_id) const {
  const auto found = objects_.find(place_of(object));
  if (found == objects_.end()) return nullptr;
  for (auto version = found->second.rbegin(); version != found->second.rend(); ++version) {
    const auto& kept = version->second;
    if (kept.blob && kept.manifest->blob_id == blob_id) return &kept;
  }
  return nullptr;
}

Result<std::optional<SignedManifest>> MemoryStore::find(const ObjectId& object,
                                                        const BlobId& blob_id) {
  const std::lock_guard lock(mutex_);
  const auto* kept = kept_with(object, blob_id);
  if (kept == nullptr) return std::optional<SignedManifest>{};
  return std::optional(kept->manifest);
}

/// What becomes of `manifest` if that follows from what is kept; nothing if it is to be kept.
std::optional<CommitOutcome> MemoryStore::decided_already(const SignedManifest& manifest,
                                                          Expected expected) const {
  const auto found = objects_.find(place_of(manifest->object));
  if (found == objects_.end()) return {};
  const auto& standing = found->second.rbegin()->second.manifest;
  for (const auto& [place, kept] : found->second) {
    if (expected && place.first > *expected && kept.manifest.hash() != manifest.hash())
      return CommitOutcome{.kind = CommitOutcome::Kind::superseded, .standing = standing};
  }
  if (standing.hash() == manifest.hash() && !marks_.contains(manifest->object)) {
    return CommitOutcome{.kind = CommitOutcome::Kind::stored, .standing = standing};
  }
  if (standing.is_later_than(manifest)) {
    return CommitOutcome{.kind = CommitOutcome::Kind::superseded, .standing = standing};
  }
  return {};
}

CommitOutcome MemoryStore::keep(const SignedManifest& manifest, std::shared_ptr<Blob> blob) {
  auto& digest = digests_[partition_of(manifest->object.hashed_key)];
  auto& versions = objects_[place_of(manifest->object)];
  if (!versions.empty()) count_in(digest, versions.rbegin()->second.manifest, false);
  count_in(digest, manifest, true);
  marks_.erase(manifest->object);
  versions.insert_or_assign({manifest->version, manifest.hash()}, Kept{manifest, std::move(blob)});
  return {.kind = CommitOutcome::Kind::stored, .standing = manifest};
}

Result<CommitOutcome> MemoryStore::commit_inline(const SignedManifest& manifest, ByteView sealed,
                                                 Expected expected) {
  const std::lock_guard lock(mutex_);
  if (auto writable = check_writable(); !writable) return fail(writable.error());
  if (manifest->is_tombstone()) {
    if (!sealed.empty()) return fail(Errc::invalid, "commit: a tombstone has no bytes");
    if (auto decided = decided_already(manifest, expected)) return *decided;
    return keep(manifest, nullptr);
  }
  if (!manifest->is_inline()) return fail(Errc::invalid, "commit: not an inline object");
  auto blob = std::make_shared<Blob>();
  blob->chunks[0] = Payload::copy_of(sealed);
  blob->leaves[0] = leaf_of(sealed);
  if (!match(blob->leaves, manifest.manifest())) {
    return fail(Errc::corrupt, "commit: the sealed bytes do not give the manifest's root");
  }
  if (auto decided = decided_already(manifest, expected)) return *decided;
  return keep(manifest, std::move(blob));
}

Result<std::unique_ptr<Upload>> MemoryStore::begin_upload(const UploadSpec& spec) {
  const std::lock_guard lock(mutex_);
  if (auto writable = check_writable(); !writable) return fail(writable.error());
  ++uploads_;
  return std::unique_ptr<Upload>(std::make_unique<MemoryUpload>(*this, spec));
}

Result<CommitOutcome> MemoryStore::commit_upload(Upload& upload, const SignedManifest& manifest,
                                                 Expected expected) {
  const std::lock_guard lock(mutex_);
  if (auto writable = check_writable(); !writable) return fail(writable.error());
  const auto& written = dynamic_cast<MemoryUpload&>(upload);
  const auto& binding = written.spec().binding;
  if (binding.object != manifest->object || binding.blob_id != manifest->blob_id ||
      written.spec().chunk_bytes != manifest->chunk_bytes) {
    return fail(Errc::invalid, "commit: the manifest is not of this upload");
  }
  if (!match(written.blob()->leaves, manifest.manifest())) {
    return fail(Errc::corrupt, "commit: the chunks do not give the manifest's root");
  }
  if (auto decided = decided_already(manifest, expected)) return *decided;
  return keep(manifest, written.blob());
}

Result<CommitOutcome> MemoryStore::commit_version(const SignedManifest& manifest,
                                                  Expected expected) {
  const std::lock_guard lock(mutex_);
  if (auto writable = check_writable(); !writable) return fail(writable.error());
  if (auto decided = decided_already(manifest, expected)) return *decided;
  const auto* kept = kept_with(manifest->object, manifest->blob_id);
  if (kept == nullptr || marks_.contains(manifest->object))
    return CommitOutcome{.kind = CommitOutcome::Kind::blob_missing, .standing = {}};
  if (kept->manifest->root != manifest->root ||
      kept->manifest->chunk_count != manifest->chunk_count) {
    return fail(Errc::corrupt, "commit: the kept blob does not give the manifest's root");
  }
  return keep(manifest, kept->blob);
}

Result<Payload> MemoryStore::read_chunk(const SignedManifest& manifest, std::uint64_t index) {
  const std::lock_guard lock(mutex_);
  const auto* kept = kept_with(manifest->object, manifest->blob_id);
  if (kept == nullptr) return fail(Errc::not_found, "read: the version is not here");
  const auto chunk = kept->blob->chunks.find(index);
  if (chunk == kept->blob->chunks.end()) return fail(Errc::not_found, "read: no such chunk");
  return chunk->second;
}

Result<std::vector<Leaf>> MemoryStore::read_leaves(const SignedManifest& manifest,
                                                   std::uint64_t first, std::size_t count) {
  const std::lock_guard lock(mutex_);
  const auto* kept = kept_with(manifest->object, manifest->blob_id);
  if (kept == nullptr) return fail(Errc::not_found, "read: the version is not here");
  std::vector<Leaf> leaves;
  for (auto at = kept->blob->leaves.lower_bound(first);
       at != kept->blob->leaves.end() && leaves.size() < count; ++at) {
    leaves.push_back(at->second);
  }
  return leaves;
}

std::vector<PartitionDigest> MemoryStore::digests() {
  const std::lock_guard lock(mutex_);
  return digests_;
}

Result<EntryPage> MemoryStore::entries(const EntryQuery& query) {
  const std::lock_guard lock(mutex_);
  EntryPage page;
  const ObjectId from = query.after.value_or(ObjectId{});
  for (auto at = objects_.lower_bound({query.partition, from}); at != objects_.end(); ++at) {
    const auto& [partition, object] = at->first;
    if (partition != query.partition) break;
    if (query.owner && object.owner != *query.owner) continue;
    if (query.after && object == *query.after) continue;
    if (page.entries.size() == query.limit) {
      page.next_after = page.entries.back().object;
      return page;
    }
    const auto& latest = at->second.rbegin()->second.manifest;
    const bool wanted =
        !query.tombstones_before_ms ||
        (latest->is_tombstone() && latest->version.ms() < *query.tombstones_before_ms);
    if (!wanted) continue;
    page.entries.push_back({object, latest->version, latest.hash()});
  }
  return page;
}

std::uint64_t MemoryStore::sealed_bytes(const Kept& kept) {
  std::uint64_t bytes = 0;
  if (!kept.blob) return bytes;
  for (const auto& [index, chunk] : kept.blob->chunks)
    bytes += chunk.size();
  return bytes;
}

StoreStats MemoryStore::stats() {
  const std::lock_guard lock(mutex_);
  StoreStats stats{.free_bytes = 1ULL << 40,
                   .total_bytes = 1ULL << 40,
                   .uploads = uploads_,
                   .read_only = write_error_ ? write_error_->what : "",
                   .damaged = marks_.size()};
  for (const auto& [object, versions] : objects_) {
    const auto& latest = versions.rbegin()->second;
    ++(latest.blob ? stats.objects : stats.tombstones);
    stats.blob_bytes += sealed_bytes(latest);
    stats.superseded += versions.size() - 1;
    for (auto old = versions.begin(); old != std::prev(versions.end()); ++old)
      stats.superseded_bytes += sealed_bytes(old->second);
  }
  return stats;
}

Result<SweepReport> MemoryStore::sweep(std::uint64_t superseded_before_ms) {
  const std::lock_guard lock(mutex_);
  SweepReport report;
  for (auto& [object, versions] : objects_) {
    // A version was superseded when its successor was made.
    while (versions.size() > 1 &&
           std::next(versions.begin())->first.first.ms() < superseded_before_ms) {
      versions.erase(versions.begin());
      ++report.versions;
    }
  }
  return report;
}

std::vector<PartitionSize> MemoryStore::sizes() {
  const std::lock_guard lock(mutex_);
  std::vector<PartitionSize> sizes(partition_count);
  for (const auto& [place, versions] : objects_) {
    auto& size = sizes[place.first];
    const auto& latest = versions.rbegin()->second;
    ++(latest.blob ? size.objects : size.tombstones);
    size.bytes += sealed_bytes(latest);
  }
  return sizes;
}

Result<SweepReport> MemoryStore::drop(std::span<const Entry> latest) {
  const std::lock_guard lock(mutex_);
  if (auto writable = check_writable(); !writable) return fail(writable.error());
  SweepReport report;
  for (const auto& entry : latest) {
    const auto found = objects_.find(place_of(entry.object));
    if (found == objects_.end()) continue;
    const auto& standing = found->second.rbegin()->second.manifest;
    if (standing->version != entry.version || standing.hash() != entry.hash) continue;
    count_in(digests_[partition_of(entry.object.hashed_key)], standing, false);
    report.versions += found->second.size();
    marks_.erase(entry.object);
    objects_.erase(found);
  }
  return report;
}

bool MemoryStore::is_whole(const Kept& kept) const {
  std::map<std::uint64_t, Leaf> leaves;
  for (const auto& [index, chunk] : kept.blob->chunks)
    leaves.emplace(index, leaf_of(chunk.view()));
  return match(leaves, kept.manifest.manifest());
}

/// Whether it is whole; its mark says so from now on.
bool MemoryStore::note(const ObjectId& object, const Kept& kept) {
  const bool whole = !kept.blob || is_whole(kept);
  if (whole)
    marks_.erase(object);
  else
    marks_.insert_or_assign(object, kept.manifest->blob_id);
  return whole;
}

/// One object a step.
Result<ScrubStep> MemoryStore::scrub(const std::string& position, std::uint64_t) {
  const std::lock_guard lock(mutex_);
  std::size_t number = position.empty() ? 0 : std::stoul(position);
  ScrubStep step;
  if (number >= objects_.size()) return step;
  const auto& [place, versions] = *std::next(objects_.begin(), static_cast<long>(number));
  const auto& latest = versions.rbegin()->second;
  step.counts.versions = 1;
  step.counts.bytes = sealed_bytes(latest);
  if (!note(place.second, latest)) {
    step.counts.damaged = 1;
    step.findings.push_back("damaged: " + place.second.hashed_key.short_hex());
  }
  if (++number < objects_.size()) step.next = std::to_string(number);
  step.done_per_mille = static_cast<std::uint32_t>(number * 1000 / objects_.size());
  return step;
}

Result<bool> MemoryStore::check(const SignedManifest& manifest) {
  const std::lock_guard lock(mutex_);
  ++checks_;
  const auto found = objects_.find(place_of(manifest->object));
  if (found == objects_.end()) return true;
  return note(manifest->object, found->second.rbegin()->second);
}

bool MemoryStore::is_damaged(const ChunkBinding& binding) const {
  const std::lock_guard lock(mutex_);
  const auto marked = marks_.find(binding.object);
  return marked != marks_.end() && marked->second == binding.blob_id;
}

Result<DamagedPage> MemoryStore::damaged(const std::optional<ChunkBinding>& after,
                                         std::size_t limit) {
  const std::lock_guard lock(mutex_);
  DamagedPage page;
  for (auto at = after ? marks_.upper_bound(after->object) : marks_.begin();
       at != marks_.end() && page.versions.size() < limit; ++at) {
    page.versions.push_back(objects_.at(place_of(at->first)).rbegin()->second.manifest);
  }
  if (!page.versions.empty() && page.versions.size() == limit) {
    page.next_after = page.versions.back()->binding();
  }
  return page;
}

void MemoryStore::lose(const ObjectId& object) {
  const std::lock_guard lock(mutex_);
  const auto& latest = objects_.at(place_of(object)).rbegin()->second;
  latest.blob->chunks.clear();
  latest.blob->leaves.clear();
}

void MemoryStore::fail_writes(std::optional<Error> error) {
  const std::lock_guard lock(mutex_);
  write_error_ = std::move(error);
}

void MemoryStore::damage(const ObjectId& object, std::uint64_t index) {
  const std::lock_guard lock(mutex_);
  auto& chunk = objects_.at(place_of(object)).rbegin()->second.blob->chunks.at(index);
  auto bytes = to_bytes(chunk.view());
  bytes[bytes.size() / 2] ^= 1;
  chunk = Payload::take(std::move(bytes));
}

void MemoryStore::forge(const ObjectId& object, std::uint64_t index, Payload sealed) {
  const std::lock_guard lock(mutex_);
  objects_.at(place_of(object)).rbegin()->second.blob->chunks.at(index) = std::move(sealed);
}

void MemoryStore::wipe() {
  const std::lock_guard lock(mutex_);
  objects_.clear();
  digests_.assign(partition_count, PartitionDigest{});
  marks_.clear();
}

}  // namespace zerodb::sim
