#pragma once
// The store on a real disk: an Index and Blobs, and the rules by which versions take each other's
// place. Thread-safe: a check and the write that follows from it hold the object's mutex, of which
// there are many; nothing else is held across a write, so that writers share fsyncs.

#include <atomic>
#include <set>
#include <variant>

#include "store/blobs.hpp"
#include "store/index.hpp"
#include "store/scrub.hpp"

namespace zerodb {

class DiskStore final : public Store {
 public:
  static Result<std::unique_ptr<DiskStore>> open(const StoreOptions& options);

  Result<std::optional<SignedManifest>> latest(const ObjectId& object) override;
  Result<std::optional<SignedManifest>> find(const ObjectId& object,
                                             const BlobId& blob_id) override;
  Result<CommitOutcome> commit_inline(const SignedManifest& manifest, ByteView sealed,
                                      Expected expected) override;
  std::vector<Result<CommitOutcome>> commit_inline_all(
      std::span<const InlineCommit> commits) override;
  Result<std::unique_ptr<Upload>> begin_upload(const UploadSpec& spec) override;
  Result<CommitOutcome> commit_upload(Upload& upload, const SignedManifest& manifest,
                                      Expected expected) override;
  Result<CommitOutcome> commit_version(const SignedManifest& manifest, Expected expected) override;
  Result<Payload> read_chunk(const SignedManifest& manifest, std::uint64_t index) override;
  Result<std::vector<Leaf>> read_leaves(const SignedManifest& manifest, std::uint64_t first,
                                        std::size_t count) override;
  std::vector<PartitionDigest> digests() override;
  Result<EntryPage> entries(const EntryQuery& query) override;
  std::vector<PartitionSize> sizes() override;
  StoreStats stats() override;
  Result<SweepReport> sweep(std::uint64_t superseded_before_ms) override;
  void cut_sweeps_short() override;
  Result<SweepReport> drop(std::span<const Entry> latest) override;
  Result<ScrubStep> scrub(const std::string& position, std::uint64_t bytes_max) override;
  Result<bool> check(const SignedManifest& manifest) override;
  bool is_damaged(const ChunkBinding& binding) const override { return marks_.contains(binding); }
  Result<DamagedPage> damaged(const std::optional<ChunkBinding>& after, std::size_t limit) override;

 private:
#ifdef __SANITIZE_THREAD__
  static constexpr std::size_t stripes = 48;  // it gives up on a thread that holds more than 63
#else
  static constexpr std::size_t stripes = 256;
#endif

  /// What stands before a commit, and whether the commit may go on.
  struct Standing {
    std::optional<SignedManifest> latest;
    bool is_later = false;  ///< than the manifest to commit, or than what it expects to stand
  };

  DiskStore(const StoreOptions& options, FolderLock lock);

  Status prepare(const StoreOptions& options);
  Status prepare_folders();
  Status open_index(const StoreOptions& options);
  void note_index_damage();
  bool note_if_index_damage(const Error& error);
  /// What was read of the index; damage that was met is noted.
  template <class T>
  Result<T> noted(Result<T> read);
  std::size_t stripe_of(const ObjectId& object) const {
    return IdHash{}(object) % stripes;
  }
  std::mutex& mutex_of(const ObjectId& object) {
    return mutexes_[stripe_of(object)];
  }

  Result<Standing> standing_against(const SignedManifest& manifest, Expected expected);
  Result<bool> holds_later_than(Version expected, const SignedManifest& manifest,
                                const SignedManifest& latest) const;
  Status check_inline(const SignedManifest& manifest, ByteView sealed) const;
  bool holds_blob_of(const SignedManifest& manifest, const SignedManifest& kept) const;
  std::vector<std::unique_lock<std::mutex>> lock_stripes(const std::set<std::size_t>& wanted);

  struct Staged;
  Staged stage(const SignedManifest& manifest, const Standing& before,
               std::optional<ByteView> inline_value) const;
  std::variant<Staged, Result<CommitOutcome>> judge_inline(const InlineCommit& commit);
  void write_staged(std::vector<Staged>& staged, std::vector<Result<CommitOutcome>>& outcomes);
  CommitOutcome note_stored(const Staged& staged);
  Result<CommitOutcome> record(const SignedManifest& manifest, const Standing& before,
                               std::optional<ByteView> inline_value);
  Status note_index_write(Status written);
  Status place(BlobUpload& upload);

  struct SweepPlan;
  Result<std::optional<std::vector<Index::Holder>>> readable_versions(const ObjectId& object);
  Result<SweepPlan> plan_sweep(const std::vector<Index::Superseded>& batch);
  Result<SweepReport> sweep_batch(const std::vector<Index::Superseded>& batch);
  Result<std::optional<Counted>> plan_drop(const Entry& latest, SweepPlan& plan);
  Result<SweepReport> drop_batch(std::span<const Entry> latest);
  Status carry_out(const SweepPlan& plan, const std::vector<Counted>& gone);
  Status reclaim_if_worth_it();

  const FolderLock lock_;  ///< first, so that it goes last
  const std::filesystem::path folder_;
  const std::function<std::uint64_t()> now_ms_;
  Blobs blobs_;
  std::unique_ptr<Index> index_;
  Tally tally_;
  std::atomic<bool> sweeps_cut_short_ = false;
  std::atomic<std::uint64_t> inline_bytes_dropped_ = 0;  ///< since their space was reclaimed
  Quarantine quarantine_;
  DamageMarks marks_;
  std::optional<Scrub> scrub_;  ///< once there is an index
  bool index_rebuilt_ = false;
  std::atomic<bool> index_damaged_ = false;
  std::array<std::mutex, stripes> mutexes_;
};

}  // namespace zerodb
