#pragma once
// A Store in memory that keeps the rules of store/store.hpp, with faults on demand. Thread-safe.

#include <map>
#include <memory>
#include <mutex>

#include "store/store.hpp"

namespace zerodb::sim {

class MemoryStore : public Store {
 public:
  Result<std::optional<SignedManifest>> latest(const ObjectId& object) override;
  Result<std::optional<SignedManifest>> find(const ObjectId& object,
                                             const BlobId& blob_id) override;
  Result<CommitOutcome> commit_inline(const SignedManifest& manifest, ByteView sealed,
                                      Expected expected = {}) override;
  Result<std::unique_ptr<Upload>> begin_upload(const UploadSpec& spec) override;
  Result<CommitOutcome> commit_upload(Upload& upload, const SignedManifest& manifest,
                                      Expected expected = {}) override;
  Result<CommitOutcome> commit_version(const SignedManifest& manifest,
                                       Expected expected = {}) override;
  Result<Payload> read_chunk(const SignedManifest& manifest, std::uint64_t index) override;
  Result<std::vector<Leaf>> read_leaves(const SignedManifest& manifest, std::uint64_t first,
                                        std::size_t count) override;
  std::vector<PartitionDigest> digests() override;
  Result<EntryPage> entries(const EntryQuery& query) override;
  StoreStats stats() override;
  Result<SweepReport> sweep(std::uint64_t superseded_before_ms) override;
  std::vector<PartitionSize> sizes() override;
  Result<SweepReport> drop(std::span<const Entry> latest) override;
  Result<ScrubStep> scrub(const std::string& position, std::uint64_t bytes_max) override;
  Result<bool> check(const SignedManifest& manifest) override;
  bool is_damaged(const ChunkBinding& binding) const override;
  Result<DamagedPage> damaged(const std::optional<ChunkBinding>& after, std::size_t limit) override;

  /// Every later write fails with `error`; nothing: writes work again.
  void fail_writes(std::optional<Error> error);
  /// Flips a bit of a chunk of the latest version; its leaf stays as it was.
  void damage(const ObjectId& object, std::uint64_t index);
  /// Puts other sealed bytes in its place; its leaf stays as it was.
  void forge(const ObjectId& object, std::uint64_t index, Payload sealed);
  /// The sealed bytes of the latest version are gone, its entry stays.
  void lose(const ObjectId& object);
  /// How often check() was asked.
  std::size_t checks() const { return checks_; }
  /// Forgets everything, as a node with a new disk.
  void wipe();

 private:
  struct Blob {
    std::map<std::uint64_t, Payload> chunks;
    std::map<std::uint64_t, Leaf> leaves;
  };
  class MemoryUpload;
  struct Kept {
    SignedManifest manifest;
    std::shared_ptr<Blob> blob;  ///< none for a tombstone
  };
  using Versions = std::map<std::pair<Version, ManifestHash>, Kept>;  ///< the latest is last

  static std::pair<Partition, ObjectId> place_of(const ObjectId& object) {
    return {partition_of(object.hashed_key), object};
  }

  std::optional<CommitOutcome> decided_already(const SignedManifest& manifest,
                                               Expected expected) const;
  CommitOutcome keep(const SignedManifest& manifest, std::shared_ptr<Blob> blob);
  const Kept* kept_with(const ObjectId& object, const BlobId& blob_id) const;
  Status check_writable() const;
  static std::uint64_t sealed_bytes(const Kept& kept);
  bool is_whole(const Kept& kept) const;
  bool note(const ObjectId& object, const Kept& kept);

  mutable std::mutex mutex_;
  std::map<std::pair<Partition, ObjectId>, Versions> objects_;  ///< in index order
  std::vector<PartitionDigest> digests_{partition_count};
  std::size_t uploads_ = 0;
  std::size_t checks_ = 0;
  std::optional<Error> write_error_;
  std::map<ObjectId, BlobId> marks_;  ///< damaged
};

}  // namespace zerodb::sim
