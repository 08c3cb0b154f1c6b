// What a DiskStore lets go of: versions that were superseded, objects that are placed elsewhere.
#include <map>

#include "store/disk_store.hpp"

namespace zerodb {

namespace {

constexpr std::size_t sweep_batch_versions = 256;
constexpr std::uint64_t reclaim_bytes_min = 64 << 20;  // below, compaction is left to RocksDB

}  // namespace

struct DiskStore::SweepPlan {
  std::vector<Index::Removal> removals;
  std::vector<ChunkBinding> blob_files;  ///< to unlink once the removals are durable
  std::uint64_t inline_bytes = 0;
  Tally::Superseded superseded;  ///< of the versions removed
  SweepReport report;

  void remove_line(const std::string& line) { removals.push_back({.line = line}); }

  void remove_version(const std::string& key, const std::string& line = {}) {
    removals.push_back({.line = line, .key = key});
    ++report.versions;
  }

  /// Of the version removed last.
  void remove_blob(const ChunkBinding& binding, std::uint64_t sealed_bytes) {
    if (sealed_bytes <= inline_bytes_max + chunk_overhead_bytes) {
      removals.back().inline_value = binding;
      inline_bytes += sealed_bytes;
    } else {
      blob_files.push_back(binding);
    }
    report.bytes += sealed_bytes;
  }
};

/// Nothing if they cannot be read: such an object is left as it is until the index is made anew.
Result<std::optional<std::vector<Index::Holder>>> DiskStore::readable_versions(
    const ObjectId& object) {
  auto versions = index_->versions(object);
  if (versions) return std::optional(std::move(*versions));
  if (note_if_index_damage(versions.error())) return std::optional<std::vector<Index::Holder>>();
  return fail(std::move(versions.error()));
}

/// A blob goes with the latest version that refers to it. A line says what was superseded once:
/// the version may be gone since, and may stand again.
Result<DiskStore::SweepPlan> DiskStore::plan_sweep(const std::vector<Index::Superseded>& batch) {
  SweepPlan plan;
  std::map<ObjectId, std::optional<std::vector<Index::Holder>>> kept;
  std::set<std::string> swept;
  for (const auto& old : batch) {
    const auto [of_object, is_new] = kept.try_emplace(old.entry.object);
    if (is_new) {
      auto read = readable_versions(old.entry.object);
      if (!read) return fail(std::move(read.error()));
      of_object->second = std::move(*read);
    }
    if (!of_object->second) continue;
    const auto& versions = *of_object->second;
    const auto self = std::ranges::find(versions, old.key, &Index::Holder::key);
    if (self == versions.begin() || self == versions.end() || !swept.insert(old.key).second) {
      plan.remove_line(old.line);
      continue;
    }
    const auto& head = self->head;
    const auto same_blob = [&](const auto& other) { return other.head.blob_id == head.blob_id; };
    plan.remove_version(old.key, old.line);
    plan.superseded += {.versions = 1, .bytes = head.sealed_bytes};
    if (head.kind == ObjectKind::tombstone || std::any_of(versions.begin(), self, same_blob)) {
      continue;
    }
    plan.remove_blob({.object = old.entry.object, .blob_id = head.blob_id}, head.sealed_bytes);
  }
  return plan;
}

Result<SweepReport> DiskStore::sweep_batch(const std::vector<Index::Superseded>& batch) {
  std::set<std::size_t> wanted;
  for (const auto& old : batch)
    wanted.insert(stripe_of(old.entry.object));
  const auto guards = lock_stripes(wanted);
  auto plan = plan_sweep(batch);
  if (!plan) return fail(std::move(plan.error()));
  if (auto done = carry_out(*plan, {}); !done) return fail(std::move(done.error()));
  return plan->report;
}

/// The index first: a crash in between leaves blob files that nothing refers to, never the reverse.
Status DiskStore::carry_out(const SweepPlan& plan, const std::vector<Counted>& gone) {
  if (auto written = note_index_write(index_->remove(plan.removals)); !written) return written;
  for (const auto& latest : gone)
    tally_.remove(latest);
  tally_.remove(plan.superseded);
  for (const auto& removal : plan.removals) {
    if (removal.unmark) marks_.forget(*removal.unmark);
  }
  inline_bytes_dropped_ += plan.inline_bytes;
  Status all_removed;  // nothing in the index says what files are left: each is tried
  for (const auto& binding : plan.blob_files) {
    if (auto removed = blobs_.remove(binding); !removed) all_removed = std::move(removed);
  }
  return all_removed;
}

Result<SweepReport> DiskStore::sweep(std::uint64_t superseded_before_ms) {
  auto trimmed = quarantine_.trim();
  SweepReport total;
  std::string after;
  for (;;) {
    if (auto trusted = blobs_.check_trusted(); !trusted) return fail(std::move(trusted.error()));
    const auto batch = index_->superseded_before(superseded_before_ms, sweep_batch_versions, after);
    if (!batch) {
      note_if_index_damage(batch.error());
      return fail(batch.error());
    }
    if (batch->empty()) break;
    if (sweeps_cut_short_) return total;
    after = batch->back().line;
    const auto report = sweep_batch(*batch);
    if (!report) return fail(report.error());
    total.versions += report->versions;
    total.bytes += report->bytes;
  }
  auto reclaimed = reclaim_if_worth_it();
  if (!reclaimed && !sweeps_cut_short_) return fail(std::move(reclaimed.error()));
  if (!trimmed) return fail(std::move(trimmed.error()));
  return total;
}

void DiskStore::cut_sweeps_short() {
  sweeps_cut_short_ = true;
  index_->stop_reclaiming();
}

/// RocksDB gives space back when it compacts, which may be long after the last write.
Status DiskStore::reclaim_if_worth_it() {
  if (inline_bytes_dropped_ < reclaim_bytes_min) return {};
  inline_bytes_dropped_ = 0;
  auto reclaimed = index_->reclaim();
  if (!reclaimed) note_if_index_damage(reclaimed.error());
  return reclaimed;
}

/// All versions of one object, if the named one is its latest; the answer is what stood.
Result<std::optional<Counted>> DiskStore::plan_drop(const Entry& latest, SweepPlan& plan) {
  const auto read = readable_versions(latest.object);
  if (!read) return fail(read.error());
  const auto& versions = *read;
  if (!versions || versions->empty() || versions->front().key != index_key::of_entry(latest)) {
    return std::optional<Counted>();
  }
  std::set<BlobId> blobs;
  for (const auto& [key, head] : *versions) {
    plan.remove_version(key);
    if (key != versions->front().key) {
      plan.superseded += {.versions = 1, .bytes = head.sealed_bytes};
    }
    if (head.kind == ObjectKind::tombstone || !blobs.insert(head.blob_id).second) continue;
    const ChunkBinding blob{.object = latest.object, .blob_id = head.blob_id};
    plan.remove_blob(blob, head.sealed_bytes);
    if (marks_.contains(blob)) plan.removals.back().unmark = blob;
  }
  const auto& head = versions->front().head;
  return std::optional(Counted{.entry = latest,
                               .tombstone = head.kind == ObjectKind::tombstone,
                               .sealed_bytes = head.sealed_bytes});
}

Result<SweepReport> DiskStore::drop_batch(std::span<const Entry> latest) {
  std::set<std::size_t> wanted;
  for (const auto& entry : latest)
    wanted.insert(stripe_of(entry.object));
  const auto guards = lock_stripes(wanted);
  SweepPlan plan;
  std::vector<Counted> gone;
  for (const auto& entry : latest) {
    auto planned = plan_drop(entry, plan);
    if (!planned) return fail(std::move(planned.error()));
    if (*planned) gone.push_back(**planned);
  }
  if (auto done = carry_out(plan, gone); !done) return fail(std::move(done.error()));
  return plan.report;
}

Result<SweepReport> DiskStore::drop(std::span<const Entry> latest) {
  SweepReport total;
  for (std::size_t at = 0; at < latest.size(); at += sweep_batch_versions) {
    if (auto trusted = blobs_.check_trusted(); !trusted) return fail(std::move(trusted.error()));
    const auto batch =
        latest.subspan(at, std::min<std::size_t>(sweep_batch_versions, latest.size() - at));
    const auto report = drop_batch(batch);
    if (!report) return fail(report.error());
    total.versions += report->versions;
    total.bytes += report->bytes;
  }
  return total;
}

}  // namespace zerodb
