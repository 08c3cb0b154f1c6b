#include "store/disk_store.hpp"

#include <chrono>

#include "store/blob_format.hpp"
#include "store/rebuild.hpp"
#include "store/store_format.hpp"

namespace zerodb {

namespace {

namespace fs = std::filesystem;

constexpr std::uint64_t index_bytes_least = 8 << 20;  // on the disk, for the index to write at all

std::uint64_t system_now_ms() {
  using namespace std::chrono;
  return static_cast<std::uint64_t>(
      duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count());
}

CommitOutcome superseded_by(std::optional<SignedManifest> standing) {
  return {.kind = CommitOutcome::Kind::superseded, .standing = std::move(standing)};
}

Status check_index(const SignedManifest& manifest, std::uint64_t index) {
  if (manifest->is_tombstone()) return fail(Errc::invalid, "a tombstone has no chunks");
  if (index < manifest->chunk_count) return {};
  return fail(Errc::invalid, "chunk " + std::to_string(index) + " of a blob of " +
                                 std::to_string(manifest->chunk_count));
}

}  // namespace

// ------------------------------------------------------------------------------------- opening

DiskStore::DiskStore(const StoreOptions& options, FolderLock lock)
    : lock_(std::move(lock)),
      folder_(options.folder),
      now_ms_(options.now_ms ? options.now_ms : system_now_ms),
      blobs_(options.folder, options.reserve_bytes),
      quarantine_(options.folder / "quarantine", {.keep_free_bytes = options.reserve_bytes}) {}

Result<std::unique_ptr<DiskStore>> DiskStore::open(const StoreOptions& options) {
  if (auto made = make_folders(options.folder); !made) return fail(std::move(made.error()));
  auto lock = FolderLock::take(options.folder / "lock");
  if (!lock) return fail(std::move(lock.error()));
  std::unique_ptr<DiskStore> store(new DiskStore(options, std::move(*lock)));
  if (auto ready = store->prepare(options); !ready) return fail(std::move(ready.error()));
  return store;
}

/// What a start can give back to a full disk goes before room is asked for.
Status DiskStore::prepare_folders() {
  if (auto known = check_store_format(folder_); !known) return known;
  if (auto ready = blobs_.prepare(); !ready) return ready;
  return quarantine_.prepare();
}

Status DiskStore::prepare(const StoreOptions& options) {
  // RocksDB ends the process when the disk is full while it opens.
  const auto check_room = [this] { return blobs_.check_free(index_bytes_least); };
  const bool is_new = is_new_store(folder_);
  if (auto space = is_new ? check_room() : Status(); !space) return space;
  if (auto ready = prepare_folders(); !ready) return ready;
  if (auto space = check_room(); !space) return space;
  if (!is_new && is_index_missing(folder_)) {
    if (auto noted = note_index_lost(folder_, now_ms_()); !noted) return noted;
  }
  const bool was_lost = is_index_lost(folder_);
  auto opened = open_index(options);
  if (!opened && opened.error().code == Errc::corrupt && !was_lost) {
    index_.reset();
    if (auto noted = note_index_lost(folder_, now_ms_()); !noted) return noted;
    opened = open_index(options);
  }
  if (!opened) return opened;
  scrub_.emplace(ScrubParts{
      .index = *index_,
      .blobs = blobs_,
      .quarantine = quarantine_,
      .marks = marks_,
      .lock = [this](const ObjectId& object) { return std::unique_lock(mutex_of(object)); },
      .now_ms = now_ms_,
      .on_index_damage = [this] { note_index_damage(); }});
  return sync_folder(folder_);
}

/// Opens the index, made anew if it is known to be lost, and sums it up.
Status DiskStore::open_index(const StoreOptions& options) {
  auto opened = open_or_recover_index(options, now_ms_());
  if (!opened) return fail(std::move(opened.error()));
  index_ = std::move(opened->index);
  index_rebuilt_ = opened->recovered;
  tally_.clear();
  auto summed = index_->sum_up(tally_);
  if (summed) summed = marks_.load(*index_);
  return summed ? end_rebuild(folder_) : summed;
}

void DiskStore::note_index_damage() {
  if (index_damaged_.exchange(true)) return;
  // What cannot be noted now is noted when the damage is met again.
  if (!note_index_lost(folder_, now_ms_())) index_damaged_ = false;
}

template <class T>
Result<T> DiskStore::noted(Result<T> read) {
  if (!read) note_if_index_damage(read.error());
  return read;
}

bool DiskStore::note_if_index_damage(const Error& error) {
  if (error.code != Errc::corrupt) return false;
  note_index_damage();
  return true;
}

// ------------------------------------------------------------------------------------- commits

Result<DiskStore::Standing> DiskStore::standing_against(const SignedManifest& manifest,
                                                        Expected expected) {
  auto latest = noted(index_->latest(manifest->object));
  if (!latest) return fail(std::move(latest.error()));
  bool is_later = *latest && (*latest)->is_later_than(manifest);
  if (*latest && expected && !is_later) {
    auto unexpected = holds_later_than(*expected, manifest, **latest);
    if (!unexpected) return fail(std::move(unexpected.error()));
    is_later = *unexpected;
  }
  return Standing{.latest = std::move(*latest), .is_later = is_later};
}

/// Of another version than `manifest`.
Result<bool> DiskStore::holds_later_than(Version expected, const SignedManifest& manifest,
                                         const SignedManifest& latest) const {
  if (latest.hash() != manifest.hash()) return latest->version > expected;
  const auto versions = index_->versions(manifest->object);
  if (!versions) return fail(versions.error());
  if (versions->size() < 2) return false;
  const auto before = index_key::decode((*versions)[1].key);
  if (!before) return fail(before.error());
  return before->version > expected;
}

/// A failed write of the index may or may not have reached the disk: nothing is undone after it.
Status DiskStore::note_index_write(Status written) {
  if (!written) note_if_index_damage(written.error());
  return blobs_.note_sync(std::move(written));
}

/// A commit that was found good, up to the write of the index.
struct DiskStore::Staged {
  std::size_t at = 0;  ///< among the commits of a batch
  Index::Addition addition;
  std::optional<Counted> replaced;
};

DiskStore::Staged DiskStore::stage(const SignedManifest& manifest, const Standing& before,
                                   std::optional<ByteView> inline_value) const {
  const bool is_new = !before.latest || before.latest->hash() != manifest.hash();
  std::optional<Counted> replaced;
  if (before.latest) replaced = counted(*before.latest);
  Staged staged{.addition = {.manifest = manifest,
                             .inline_value = inline_value,
                             .superseded = std::nullopt,
                             .superseded_ms = now_ms_(),
                             .unmark = std::nullopt},
                .replaced = replaced};
  if (is_new && replaced) staged.addition.superseded = replaced->entry;
  // Only what stands is marked, and every commit brings whole bytes of it or takes its place.
  if (before.latest && marks_.contains((*before.latest)->binding())) {
    staged.addition.unmark = (*before.latest)->binding();
  }
  return staged;
}

CommitOutcome DiskStore::note_stored(const Staged& staged) {
  const auto& manifest = staged.addition.manifest;
  tally_.replace(staged.replaced ? &*staged.replaced : nullptr, counted(manifest));
  if (staged.addition.unmark) marks_.forget(*staged.addition.unmark);
  return {.kind = CommitOutcome::Kind::stored, .standing = manifest};
}

/// The caller holds the object's mutex and made the sealed bytes durable.
Result<CommitOutcome> DiskStore::record(const SignedManifest& manifest, const Standing& before,
                                        std::optional<ByteView> inline_value) {
  const auto staged = stage(manifest, before, inline_value);
  if (auto written = note_index_write(index_->add(staged.addition)); !written) {
    return fail(std::move(written.error()));
  }
  return note_stored(staged);
}

Status DiskStore::check_inline(const SignedManifest& manifest, ByteView sealed) const {
  if (manifest->is_tombstone()) {
    if (sealed.empty()) return blobs_.check_free(index_bytes_least);
    return fail(Errc::invalid,
                "commit: a tombstone with " + std::to_string(sealed.size()) + " sealed bytes");
  }
  if (!manifest->is_inline() || manifest->chunk_count != 1) {
    return fail(Errc::invalid, "commit: " + std::to_string(manifest->size) +
                                   " bytes are too many to be kept inline; upload them");
  }
  if (sealed.size() != blob_format::sealed_bytes_of(manifest.manifest())) {
    return fail(Errc::invalid, "commit: the sealed chunk has not the size the manifest says");
  }
  if (root_of(leaf_of(sealed)) == manifest->root) return blobs_.check_space();
  return fail(Errc::corrupt, "commit: the sealed chunk does not give the manifest's root");
}

Result<CommitOutcome> DiskStore::commit_inline(const SignedManifest& manifest, ByteView sealed,
                                               Expected expected) {
  const InlineCommit commit{.manifest = manifest, .sealed = sealed, .expected = expected};
  auto outcomes = commit_inline_all(std::span(&commit, 1));
  return std::move(outcomes.front());
}

/// In the order of the stripes, as is done wherever several are held: nobody waits in a circle.
std::vector<std::unique_lock<std::mutex>> DiskStore::lock_stripes(
    const std::set<std::size_t>& wanted) {
  std::vector<std::unique_lock<std::mutex>> guards;
  for (const auto stripe : wanted)
    guards.emplace_back(mutexes_[stripe]);
  return guards;
}

std::vector<Result<CommitOutcome>> DiskStore::commit_inline_all(
    std::span<const InlineCommit> commits) {
  std::set<std::size_t> stripes_wanted;
  for (const auto& commit : commits)
    stripes_wanted.insert(stripe_of(commit.manifest->object));
  std::vector<Result<CommitOutcome>> outcomes;
  std::vector<Staged> staged;
  const auto guards = lock_stripes(stripes_wanted);
  for (const auto& commit : commits) {
    const auto same_object = [&](const Staged& other) {
      return other.addition.manifest->object == commit.manifest->object;
    };
    // What came before in the batch stands before this one.
    if (std::ranges::any_of(staged, same_object)) write_staged(staged, outcomes);
    auto judged = judge_inline(commit);
    if (auto* good = std::get_if<Staged>(&judged)) {
      good->at = outcomes.size();
      staged.push_back(std::move(*good));
      outcomes.emplace_back(CommitOutcome{});
    } else {
      outcomes.push_back(std::move(std::get<Result<CommitOutcome>>(judged)));
    }
  }
  write_staged(staged, outcomes);
  return outcomes;
}

/// The outcome, if it is known already; else what is to be written. The object's mutex is held.
std::variant<DiskStore::Staged, Result<CommitOutcome>> DiskStore::judge_inline(
    const InlineCommit& commit) {
  const auto& [manifest, sealed, expected] = commit;
  const auto refuse = [](Error error) { return Result<CommitOutcome>(fail(std::move(error))); };
  if (auto trusted = blobs_.check_trusted(); !trusted) return refuse(std::move(trusted.error()));
  if (auto right = check_inline(manifest, sealed); !right) return refuse(std::move(right.error()));
  auto before = standing_against(manifest, expected);
  if (!before) return refuse(std::move(before.error()));
  if (before->is_later) return Result<CommitOutcome>(superseded_by(std::move(before->latest)));
  std::optional<ByteView> inline_value;
  if (!manifest->is_tombstone()) inline_value = sealed;
  return stage(manifest, *before, inline_value);
}

/// One durable write for all; none is kept if it fails.
void DiskStore::write_staged(std::vector<Staged>& staged,
                             std::vector<Result<CommitOutcome>>& outcomes) {
  if (staged.empty()) return;
  std::vector<Index::Addition> additions;
  for (const auto& one : staged)
    additions.push_back(one.addition);
  const auto written = note_index_write(index_->add(additions));
  for (const auto& one : staged) {
    if (written) {
      outcomes[one.at] = note_stored(one);
    } else {
      outcomes[one.at] = Result<CommitOutcome>(fail(written.error()));
    }
  }
  staged.clear();
}

Result<std::unique_ptr<Upload>> DiskStore::begin_upload(const UploadSpec& spec) {
  auto upload = blobs_.begin(spec);
  if (!upload) return fail(std::move(upload.error()));
  return std::unique_ptr<Upload>(std::move(*upload));
}

Result<CommitOutcome> DiskStore::commit_upload(Upload& upload, const SignedManifest& manifest,
                                               Expected expected) {
  auto* blob = dynamic_cast<BlobUpload*>(&upload);
  if (blob == nullptr) return fail(Errc::invalid, "commit: an upload of another store");
  if (manifest->is_tombstone() || manifest->is_inline()) {
    return fail(Errc::invalid, "commit: tombstones and objects of up to " +
                                   std::to_string(inline_bytes_max) + " bytes are kept inline");
  }
  if (auto trusted = blobs_.check_trusted(); !trusted) return fail(std::move(trusted.error()));
  const auto no_writes = blob->stop_writes();
  // Looked at twice: first to spare the disk, then with the object's mutex, which is not held
  // while much is synced.
  auto before = standing_against(manifest, expected);
  if (!before) return fail(std::move(before.error()));
  if (before->is_later) return superseded_by(std::move(before->latest));
  if (auto right = blob->check(manifest); !right) return fail(std::move(right.error()));
  if (auto sealed = blob->seal(manifest); !sealed) return fail(std::move(sealed.error()));

  const std::lock_guard guard(mutex_of(manifest->object));
  before = standing_against(manifest, expected);
  if (!before) return fail(std::move(before.error()));
  if (before->is_later) return superseded_by(std::move(before->latest));
  if (auto placed = place(*blob); !placed) return fail(std::move(placed.error()));
  return record(manifest, *before, std::nullopt);
}

/// A damaged file, whose whole chunks can be read, keeps its place until a good one takes it.
Status DiskStore::place(BlobUpload& upload) {
  const bool replaces_damaged = marks_.contains(upload.binding());
  if (replaces_damaged) quarantine_.keep(blobs_.path_of(upload.binding()));
  auto placed = blobs_.place(upload);
  // The new file is there, whatever becomes of older ones.
  if (placed && replaces_damaged) static_cast<void>(quarantine_.trim());
  return placed;
}

/// True if the sealed bytes of `kept` are those `manifest` describes, and are here.
bool DiskStore::holds_blob_of(const SignedManifest& manifest, const SignedManifest& kept) const {
  const bool same = kept->kind == manifest->kind && kept->root == manifest->root &&
                    kept->size == manifest->size && kept->chunk_bytes == manifest->chunk_bytes &&
                    kept->chunk_count == manifest->chunk_count;
  if (!same || marks_.contains(manifest->binding())) return false;
  if (manifest->is_inline()) return index_->inline_value(manifest->binding()).has_value();
  return blobs_.holds(manifest->binding());
}

Result<CommitOutcome> DiskStore::commit_version(const SignedManifest& manifest, Expected expected) {
  if (manifest->is_tombstone()) return commit_inline(manifest, {}, expected);
  if (auto trusted = blobs_.check_trusted(); !trusted) return fail(std::move(trusted.error()));
  const std::lock_guard guard(mutex_of(manifest->object));
  auto before = standing_against(manifest, expected);
  if (!before) return fail(std::move(before.error()));
  if (before->is_later) return superseded_by(std::move(before->latest));
  const auto kept = index_->find(manifest->object, manifest->blob_id);
  if (!kept) return fail(kept.error());
  if (!*kept || !holds_blob_of(manifest, **kept)) {
    return CommitOutcome{.kind = CommitOutcome::Kind::blob_missing,
                         .standing = std::move(before->latest)};
  }
  return record(manifest, *before, std::nullopt);
}

// ------------------------------------------------------------------------------------- reading

Result<std::optional<SignedManifest>> DiskStore::latest(const ObjectId& object) {
  return noted(index_->latest(object));
}

Result<std::optional<SignedManifest>> DiskStore::find(const ObjectId& object,
                                                      const BlobId& blob_id) {
  return noted(index_->find(object, blob_id));
}

Result<Payload> DiskStore::read_chunk(const SignedManifest& manifest, std::uint64_t index) {
  if (auto right = check_index(manifest, index); !right) return fail(std::move(right.error()));
  if (manifest->is_inline()) return index_->inline_value(manifest->binding());
  return blobs_.read_chunk(manifest.manifest(), index);
}

Result<std::vector<Leaf>> DiskStore::read_leaves(const SignedManifest& manifest,
                                                 std::uint64_t first, std::size_t count) {
  if (manifest->is_tombstone() || first >= manifest->chunk_count) return std::vector<Leaf>{};
  count = std::min<std::uint64_t>(count, manifest->chunk_count - first);
  if (count == 0) return std::vector<Leaf>{};
  if (!manifest->is_inline()) return blobs_.read_leaves(manifest.manifest(), first, count);
  const auto chunk = index_->inline_value(manifest->binding());
  if (!chunk) return fail(chunk.error());
  return std::vector<Leaf>{leaf_of(chunk->view())};
}

std::vector<PartitionDigest> DiskStore::digests() {
  return tally_.digests();
}

Result<EntryPage> DiskStore::entries(const EntryQuery& query) {
  return noted(index_->entries(query));
}

std::vector<PartitionSize> DiskStore::sizes() {
  return tally_.sizes();
}

StoreStats DiskStore::stats() {
  const auto counts = tally_.counts();
  const auto superseded = tally_.superseded();
  const auto space = disk_space(folder_).value_or(DiskSpace{});
  const auto quarantine = quarantine_.size();
  const auto trusted = blobs_.check_trusted();
  const auto roomy = blobs_.check_space();
  return {.objects = counts.objects,
          .tombstones = counts.tombstones,
          .blob_bytes = counts.blob_bytes,
          .free_bytes = space.free_bytes,
          .total_bytes = space.total_bytes,
          .uploads = blobs_.uploads(),
          .superseded = superseded.versions,
          .superseded_bytes = superseded.bytes,
          .suspect = !trusted,
          .read_only = !trusted ? trusted.error().what
                       : !roomy ? roomy.error().what
                                : "",
          .damaged = marks_.size(),
          .quarantine_files = quarantine.files,
          .quarantine_bytes = quarantine.bytes,
          .index_rebuilt = index_rebuilt_,
          .index_damaged = index_damaged_};
}

// --------------------------------------------------------------------------------------- scrub

Result<ScrubStep> DiskStore::scrub(const std::string& position, std::uint64_t bytes_max) {
  return scrub_->step(position, bytes_max);
}

Result<bool> DiskStore::check(const SignedManifest& manifest) {
  return scrub_->check(manifest);
}

Result<DamagedPage> DiskStore::damaged(const std::optional<ChunkBinding>& after,
                                       std::size_t limit) {
  DamagedPage page;
  std::vector<ChunkBinding> gone;
  const auto marked = marks_.list(after, limit);
  for (const auto& binding : marked) {
    auto latest = index_->latest(binding.object);
    // The next start makes the index anew; until then the others are repaired.
    if (!latest && note_if_index_damage(latest.error())) continue;
    if (!latest) return fail(std::move(latest.error()));
    const bool stands =
        *latest && !(**latest)->is_tombstone() && (**latest)->blob_id == binding.blob_id;
    if (stands)
      page.versions.push_back(std::move(**latest));
    else
      gone.push_back(binding);
  }
  if (limit > 0 && marked.size() == limit) page.next_after = marked.back();
  if (auto removed = marks_.remove(gone); !removed) return fail(std::move(removed.error()));
  return page;
}

Result<std::unique_ptr<Store>> open_store(const StoreOptions& options) {
  auto store = DiskStore::open(options);
  if (!store) return fail("store " + options.folder.string(), std::move(store.error()));
  return std::unique_ptr<Store>(std::move(*store));
}

}  // namespace zerodb
