#pragma once
// What one node keeps: signed manifests in an index, sealed bytes beside them. The store holds no
// key and cannot read what it keeps. It promises that whatever it answered `ok` to survives the
// loss of power (see FORMAT.md for the order of writes).
//
// All calls block; all are thread-safe; callers run them off the network thread. This is an
// interface so that protocol code can be driven over a simulated disk.

#include <array>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "store/buffer.hpp"
#include "store/manifest.hpp"

namespace zerodb {

/// What became of a commit.
struct CommitOutcome {
  enum class Kind {
    stored,        ///< durable now (or already was: commits are idempotent)
    superseded,    ///< refused: `standing` is later than it, or than what was expected
    blob_missing,  ///< refused: the manifest's sealed bytes are not here
  };
  Kind kind = Kind::stored;
  std::optional<SignedManifest> standing;  ///< the latest version kept after the call
};

/// A line of a partition's listing: enough to see what differs.
struct Entry {
  ObjectId object;
  Version version;
  ManifestHash hash;
  auto operator<=>(const Entry&) const = default;
};

struct EntryPage {
  std::vector<Entry> entries;          ///< latest versions only, in index order, tombstones too
  std::optional<ObjectId> next_after;  ///< where to go on; none when the listing is complete
};

struct EntryQuery {
  Partition partition = 0;
  std::optional<OwnerId> owner;   ///< only this owner's
  std::optional<ObjectId> after;  ///< strictly after this object
  std::size_t limit = 1000;
  std::optional<std::uint64_t> tombstones_before_ms;  ///< only tombstones older than that (UTC)
};

/// What is kept of one partition, by its latest versions.
struct PartitionSize {
  std::uint64_t objects = 0;
  std::uint64_t tombstones = 0;
  std::uint64_t bytes = 0;  ///< sealed
  bool is_empty() const { return objects == 0 && tombstones == 0; }
};

/// The running digest of a partition: the sum, modulo 2^128, of a hash of each latest entry. Equal
/// digests mean equal sets.
using PartitionDigest = std::array<std::uint8_t, 16>;

struct StoreStats {
  std::uint64_t objects = 0;  ///< latest versions that are not tombstones
  std::uint64_t tombstones = 0;
  std::uint64_t blob_bytes = 0;  ///< sealed bytes of the objects counted
  std::uint64_t free_bytes = 0;  ///< of the file system
  std::uint64_t total_bytes = 0;
  std::uint64_t uploads = 0;     ///< under way
  std::uint64_t superseded = 0;  ///< older versions, until they are swept
  std::uint64_t superseded_bytes = 0;
  bool suspect = false;       ///< an fsync failed: nothing more is accepted until a restart
  std::string read_only;      ///< why nothing large is accepted now; empty: all is well
  std::uint64_t damaged = 0;  ///< versions marked: their bytes here are damaged or missing
  std::uint64_t quarantine_files = 0;
  std::uint64_t quarantine_bytes = 0;
  bool index_rebuilt = false;  ///< when it was opened: the old index was lost or damaged
  bool index_damaged = false;  ///< found since it was opened: the next start makes it anew
};

/// What a walk over the store saw.
struct ScrubCounts {
  std::uint64_t versions = 0;  ///< verified, tombstones too
  std::uint64_t bytes = 0;     ///< read for that
  std::uint64_t damaged = 0;   ///< of the versions: marked, by this walk or before
  std::uint64_t orphans = 0;   ///< files that no version refers to, put into quarantine
  ScrubCounts& operator+=(const ScrubCounts& more) {
    versions += more.versions;
    bytes += more.bytes;
    damaged += more.damaged;
    orphans += more.orphans;
    return *this;
  }
};

struct ScrubStep {
  ScrubCounts counts;
  std::vector<std::string> findings;  ///< a sentence part each, for the log
  std::string next;                   ///< where to go on; empty when the walk is complete
  std::uint32_t done_per_mille = 0;   ///< of the whole walk, about
};

struct DamagedPage {
  std::vector<SignedManifest> versions;    ///< latest versions whose bytes here are marked
  std::optional<ChunkBinding> next_after;  ///< where to go on; none when the listing is complete
};

struct SweepReport {
  std::uint64_t versions = 0;
  std::uint64_t bytes = 0;
};

/// A blob on its way in. Chunks may come in any order and again. Dropped without commit, it leaves
/// nothing. Calls on one upload may run on several threads at once.
class Upload {
 public:
  virtual ~Upload() = default;

  /// Writes sealed chunk `index` and answers its leaf. All chunks but the last have the full size;
  /// a short chunk is the last. `full`, `io`, or `invalid` when a size or index cannot be right.
  virtual Result<Leaf> write(std::uint64_t index, ByteView sealed) = 0;
  virtual const BlobId& blob_id() const = 0;
};

struct UploadSpec {
  ChunkBinding binding;
  std::uint32_t chunk_bytes = chunk_bytes_max;  ///< plaintext bytes of every chunk but the last
};

/// Of a conditional commit: it is `superseded` if this store holds anything later than this version
/// but the version to commit itself. So that one took the place of that version or of an older one.
/// Nothing: no condition. Versions that were swept are not seen any more.
using Expected = std::optional<Version>;

/// One of several inline objects or tombstones to keep.
struct InlineCommit {
  const SignedManifest& manifest;
  ByteView sealed;
  Expected expected{};
};

class Store {
 public:
  virtual ~Store() = default;

  /// The latest version, a tombstone included; nothing if the object was never here.
  virtual Result<std::optional<SignedManifest>> latest(const ObjectId& object) = 0;

  /// The manifest of one version still kept, latest or not.
  virtual Result<std::optional<SignedManifest>> find(const ObjectId& object,
                                                     const BlobId& blob_id) = 0;

  /// Keeps an inline object or a tombstone. `sealed` is the one sealed chunk (empty for a
  /// tombstone); its leaf must give the manifest's root, else `corrupt`. Durable on return.
  /// The manifest must come from SignedManifest::verify.
  virtual Result<CommitOutcome> commit_inline(const SignedManifest& manifest, ByteView sealed,
                                              Expected expected = {}) = 0;

  /// commit_inline for each, in order, with as few fsyncs as can be. Answers in the same order.
  virtual std::vector<Result<CommitOutcome>> commit_inline_all(
      std::span<const InlineCommit> commits) {
    std::vector<Result<CommitOutcome>> outcomes;
    for (const auto& [manifest, sealed, expected] : commits)
      outcomes.push_back(commit_inline(manifest, sealed, expected));
    return outcomes;
  }

  /// `full` when less than the reserve would be left free.
  virtual Result<std::unique_ptr<Upload>> begin_upload(const UploadSpec& spec) = 0;

  /// Checks that the written leaves give the manifest's root (else `corrupt`), then makes blob and
  /// manifest durable in that order. After `superseded` the upload is still whole and may be
  /// committed again under a later version; it is used up by `stored`.
  virtual Result<CommitOutcome> commit_upload(Upload& upload, const SignedManifest& manifest,
                                              Expected expected = {}) = 0;

  /// Moves a blob already kept to a later version of the same object.
  virtual Result<CommitOutcome> commit_version(const SignedManifest& manifest,
                                               Expected expected = {}) = 0;

  /// Sealed chunk `index` as it is on disk, unchecked: whoever opens it checks it.
  /// `not_found` when the version is not here or its file is missing.
  virtual Result<Payload> read_chunk(const SignedManifest& manifest, std::uint64_t index) = 0;

  /// Leaves [first, first + count) of a version, clipped to its end.
  virtual Result<std::vector<Leaf>> read_leaves(const SignedManifest& manifest, std::uint64_t first,
                                                std::size_t count) = 0;

  /// One digest per partition, in order. From memory, within microseconds.
  virtual std::vector<PartitionDigest> digests() = 0;
  virtual Result<EntryPage> entries(const EntryQuery& query) = 0;
  /// In order of partition.
  virtual std::vector<PartitionSize> sizes() = 0;

  virtual StoreStats stats() = 0;

  /// Drops versions that were superseded before `superseded_before_ms` (UTC).
  virtual Result<SweepReport> sweep(std::uint64_t superseded_before_ms) = 0;

  /// For when the store is about to be closed: a sweep, which may take minutes, ends soon, here and
  /// from now on. The next one, of a store opened again, does what it left.
  virtual void cut_sweeps_short() {}

  /// Drops objects with all their versions, each if the version named is still its latest. Durable
  /// on return.
  virtual Result<SweepReport> drop(std::span<const Entry> latest) = 0;

  // Scrub. A version found damaged keeps its entry, its manifest and what is left of its bytes, and
  // gets a durable mark; a commit that brings the bytes again or takes its place clears it.

  /// Verifies the part of what is kept that begins at `position` (empty: the beginning) and has
  /// about `bytes_max` bytes: latest versions against leaves, root and signature, then the blob
  /// files against the index. Positions stay good across restarts; an unknown one is the beginning.
  virtual Result<ScrubStep> scrub(const std::string& position, std::uint64_t bytes_max) = 0;

  /// Verifies all of one version now, and marks it if it is damaged. True if it is whole; also if
  /// it is not the latest of its object any more.
  virtual Result<bool> check(const SignedManifest& manifest) = 0;

  virtual bool is_damaged(const ChunkBinding& binding) const = 0;

  /// Marked versions, `limit` at most, strictly after `after`.
  virtual Result<DamagedPage> damaged(const std::optional<ChunkBinding>& after,
                                      std::size_t limit) = 0;
};

struct StoreOptions {
  std::filesystem::path folder;               ///< holds index/, blobs/ and tmp/; made if missing
  std::uint64_t reserve_bytes = 64ULL << 20;  ///< nothing is taken in while less is free
  std::uint64_t index_cache_bytes = 64ULL << 20;  ///< of what was read of the index, in memory
  std::function<std::uint64_t()> now_ms;          ///< UTC; the system clock if empty
  /// Called before an index that was lost or damaged is made anew from what is left: from now on
  /// that this store has no version of an object proves nothing. An error ends the opening.
  std::function<Status()> on_index_lost;
};

/// Opens or creates the store in `folder` (RocksDB and blob files). Clears temporary files of
/// earlier runs. `busy` when another process has it open, `invalid` when its format is newer.
Result<std::unique_ptr<Store>> open_store(const StoreOptions& options);

/// Every page of store.entries(), from where the query begins. Blocking.
inline Result<std::vector<Entry>> all_entries(Store& store, EntryQuery query) {
  std::vector<Entry> entries;
  do {
    auto page = store.entries(query);
    if (!page) return fail(std::move(page.error()));
    entries.insert(entries.end(), page->entries.begin(), page->entries.end());
    query.after = page->next_after;
  } while (query.after);
  return entries;
}

}  // namespace zerodb
