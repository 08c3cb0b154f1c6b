#include <rocksdb/write_batch.h>

#include <algorithm>

#include "store/index_impl.hpp"

namespace zerodb {

namespace {

using rocksdb::Slice;

constexpr std::size_t page_entries_max = 65536;

std::string_view view_of(const Slice& slice) {
  return {slice.data(), slice.size()};
}

/// Within one object.
rocksdb::ReadOptions within_object() {
  rocksdb::ReadOptions options;
  options.prefix_same_as_start = true;
  return options;
}

/// Across objects, up to `bound`, which must outlive the iterator.
rocksdb::ReadOptions across_objects(const Slice* bound) {
  rocksdb::ReadOptions options;
  options.total_order_seek = true;
  options.iterate_upper_bound = bound;
  return options;
}

using Iterator = std::unique_ptr<rocksdb::Iterator>;

/// From the latest version of one object to the next object's.
void skip_to_next_object(rocksdb::Iterator& at) {
  const std::string object(index_key::object_part(view_of(at.key())));
  at.Next();
  if (!at.Valid() || !at.key().starts_with(object)) return;
  at.Seek(index_key::after_all(object));
}

}  // namespace

Iterator Index::Impl::iterate(const rocksdb::ReadOptions& options) const {
  return Iterator(db->NewIterator(options, by_version));
}

/// Apart from its callers, so that ThreadSanitizer, which cannot see into RocksDB, shows them.
[[gnu::noinline]] rocksdb::Status Index::Impl::write(rocksdb::WriteBatch& batch) const {
  return db->Write(durable_write(), &batch);
}

template <class Visit>
Status Index::Impl::walk(const ObjectId& object, Visit visit) const {
  const auto at = iterate(within_object());
  for (at->Seek(index_key::of_object(object)); at->Valid(); at->Next()) {
    const Result<bool> done = visit(view_of(at->key()), view_of(at->value()));
    if (!done) return fail(done.error());
    if (*done) return {};
  }
  if (!at->status().ok()) return index_read_failure("read versions", at->status());
  return {};
}

template <class Wanted>
Result<std::optional<SignedManifest>> Index::Impl::latest_that(const ObjectId& object,
                                                               Wanted wanted) const {
  std::optional<SignedManifest> found;
  auto walked = walk(object, [&](std::string_view, std::string_view value) -> Result<bool> {
    const Result<bool> is_wanted = wanted(value);
    if (!is_wanted || !*is_wanted) return is_wanted;
    auto manifest = index_key::decode_manifest(value);
    if (!manifest) return fail(std::move(manifest.error()));
    found = std::move(*manifest);
    return true;
  });
  if (!walked) return fail(std::move(walked.error()));
  return found;
}

Index::Index(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Index::~Index() = default;

Result<std::optional<SignedManifest>> Index::latest(const ObjectId& object) const {
  return impl_->latest_that(object, [](std::string_view) { return true; });
}

Result<std::optional<SignedManifest>> Index::find(const ObjectId& object,
                                                  const BlobId& blob_id) const {
  return impl_->latest_that(object, [&](std::string_view value) -> Result<bool> {
    const auto head = index_key::decode_head(value);
    if (!head) return fail(head.error());
    return head->kind != ObjectKind::tombstone && head->blob_id == blob_id;
  });
}

Status Index::add(std::span<const Addition> additions) {
  rocksdb::WriteBatch batch;
  for (const auto& addition : additions) {
    const auto& manifest = addition.manifest;
    batch.Put(impl_->by_version, index_key::of_entry(counted(manifest).entry),
              index_key::encode_value(manifest));
    if (addition.inline_value) {
      batch.Put(impl_->by_blob, index_key::of_blob(manifest->binding()),
                Slice(as_text(*addition.inline_value)));
    }
    if (addition.superseded) {
      const auto key = index_key::of_entry(*addition.superseded);
      batch.Put(impl_->by_supersession, index_key::of_superseded(addition.superseded_ms, key), "");
    }
    if (addition.unmark) {
      batch.Delete(impl_->by_damage, index_key::of_blob(*addition.unmark));
    }
    if (addition.damaged_ms) {
      batch.Put(impl_->by_damage, index_key::of_blob(manifest->binding()),
                std::to_string(*addition.damaged_ms));
    }
  }
  const auto status = impl_->write(batch);
  if (!status.ok()) return index_write_failure("write", status);
  return {};
}

Result<Payload> Index::inline_value(const ChunkBinding& binding) const {
  auto kept = std::make_shared<std::string>();
  if (impl_->by_blob == nullptr) return fail(Errc::corrupt, "index: all inline values are lost");
  const auto status = impl_->db->Get(rocksdb::ReadOptions(), impl_->by_blob,
                                     index_key::of_blob(binding), kept.get());
  if (status.IsNotFound()) {
    return fail(Errc::not_found, "blob " + binding.blob_id.hex() + " is not here");
  }
  if (!status.ok()) return index_read_failure("read an inline value", status);
  const auto view = as_bytes(*kept);
  return Payload(std::move(kept), view);
}

Result<EntryPage> Index::entries(const EntryQuery& query) const {
  const auto prefix = query.owner ? index_key::of_owner(query.partition, *query.owner)
                                  : index_key::of_partition(query.partition);
  const auto end = index_key::after_all(prefix);
  const Slice bound(end);
  const auto after = query.after ? index_key::after_all(index_key::of_object(*query.after)) : "";
  const auto limit = std::clamp<std::size_t>(query.limit, 1, page_entries_max);
  EntryPage page;
  const auto at = impl_->iterate(across_objects(&bound));
  for (at->Seek(std::max(prefix, after)); at->Valid(); skip_to_next_object(*at)) {
    if (page.entries.size() == limit) {
      page.next_after = page.entries.back().object;
      break;
    }
    auto entry = index_key::decode(view_of(at->key()));
    if (!entry) return fail(std::move(entry.error()));
    if (query.tombstones_before_ms) {
      const auto head = index_key::decode_head(view_of(at->value()));
      if (!head) return fail(head.error());
      const bool wanted =
          head->kind == ObjectKind::tombstone && entry->version.ms() < *query.tombstones_before_ms;
      if (!wanted) continue;
    }
    page.entries.push_back(*entry);
  }
  if (!at->status().ok()) return index_read_failure("list entries", at->status());
  return page;
}

Status Index::sum_up(Tally& tally) const {
  auto options = across_objects(nullptr);
  options.fill_cache = false;
  const auto at = impl_->iterate(options);
  std::string object;
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    const auto head = index_key::decode_head(view_of(at->value()));
    if (!head) return fail(head.error());
    if (!object.empty() && at->key().starts_with(object)) {  // its latest version came first
      tally.add(Tally::Superseded{.versions = 1, .bytes = head->sealed_bytes});
      continue;
    }
    const auto entry = index_key::decode(view_of(at->key()));
    if (!entry) return fail(entry.error());
    object = index_key::object_part(view_of(at->key()));
    tally.add(Counted{.entry = *entry,
                      .tombstone = head->kind == ObjectKind::tombstone,
                      .sealed_bytes = head->sealed_bytes});
  }
  if (!at->status().ok()) return index_read_failure("scan", at->status());
  return {};
}

Result<std::vector<Index::Latest>> Index::latest_from(const std::string& from,
                                                      std::size_t limit) const {
  auto options = across_objects(nullptr);
  options.fill_cache = false;
  const auto at = impl_->iterate(options);
  std::vector<Latest> found;
  for (at->Seek(from); at->Valid() && found.size() < limit; skip_to_next_object(*at)) {
    auto manifest = index_key::decode_manifest(view_of(at->value()));
    if (!manifest && found.empty()) return fail(std::move(manifest.error()));
    if (!manifest) return found;
    found.push_back({.key = at->key().ToString(), .manifest = std::move(*manifest)});
  }
  if (!at->status().ok() && found.empty()) return index_read_failure("walk", at->status());
  return found;
}

Result<bool> Index::salvage(const std::function<Status(const SignedManifest&)>& visit) const {
  auto options = across_objects(nullptr);
  options.fill_cache = false;
  bool is_all = true;
  for (std::size_t partition = 0; partition < partition_count; ++partition) {
    const auto prefix = index_key::of_partition(static_cast<Partition>(partition));
    const auto at = impl_->iterate(options);
    for (at->Seek(prefix); at->Valid() && at->key().starts_with(prefix); at->Next()) {
      const auto manifest = index_key::decode_manifest(view_of(at->value()));
      const auto visited = manifest ? visit(*manifest) : Status();
      if (!visited) return fail(visited.error());
      is_all = is_all && manifest;
    }
    is_all = is_all && at->status().ok();
    if (at->status().ok()) continue;
    auto failure = index_read_failure("salvage", at->status());
    if (failure.value().code != Errc::corrupt) return failure;
  }
  return is_all;
}

Status Index::mark_damaged(const ChunkBinding& binding, std::uint64_t ms) {
  rocksdb::WriteBatch batch;
  batch.Put(impl_->by_damage, index_key::of_blob(binding), std::to_string(ms));
  const auto status = impl_->write(batch);
  if (!status.ok()) return index_write_failure("mark a damaged version", status);
  return {};
}

Status Index::unmark(const std::vector<ChunkBinding>& bindings) {
  rocksdb::WriteBatch batch;
  for (const auto& binding : bindings)
    batch.Delete(impl_->by_damage, index_key::of_blob(binding));
  const auto status = impl_->write(batch);
  if (!status.ok()) return index_write_failure("unmark versions", status);
  return {};
}

Result<std::vector<ChunkBinding>> Index::marked() const {
  if (impl_->by_damage == nullptr) return std::vector<ChunkBinding>{};
  const Iterator at(impl_->db->NewIterator(across_objects(nullptr), impl_->by_damage));
  std::vector<ChunkBinding> bindings;
  for (at->SeekToFirst(); at->Valid(); at->Next()) {
    auto binding = index_key::decode_blob(view_of(at->key()));
    if (!binding) return fail(std::move(binding.error()));
    bindings.push_back(*binding);
  }
  if (!at->status().ok()) return index_read_failure("list marks", at->status());
  return bindings;
}

Result<std::vector<Index::Superseded>> Index::superseded_before(std::uint64_t ms, std::size_t limit,
                                                                const std::string& after) const {
  const auto end = index_key::superseded_bound(ms);
  const Slice bound(end);
  const Iterator at(impl_->db->NewIterator(across_objects(&bound), impl_->by_supersession));
  std::vector<Superseded> lines;
  for (at->Seek(after); at->Valid() && lines.size() < limit; at->Next()) {
    if (at->key() == after) continue;
    const auto key = index_key::superseded_key(view_of(at->key()));
    if (!key) return fail(key.error());
    auto entry = index_key::decode(*key);
    if (!entry) return fail(std::move(entry.error()));
    lines.push_back({.line = at->key().ToString(), .key = std::string(*key), .entry = *entry});
  }
  if (at->status().ok() || !lines.empty()) return lines;
  return index_read_failure("list superseded versions", at->status());
}

Result<std::vector<Index::Holder>> Index::versions(const ObjectId& object) const {
  std::vector<Holder> holders;
  auto walked =
      impl_->walk(object, [&](std::string_view key, std::string_view value) -> Result<bool> {
        const auto head = index_key::decode_head(value);
        if (!head) return fail(head.error());
        holders.push_back({.key = std::string(key), .head = *head});
        return false;
      });
  if (!walked) return fail(std::move(walked.error()));
  return holders;
}

Status Index::remove(const std::vector<Removal>& removals) {
  rocksdb::WriteBatch batch;
  for (const auto& removal : removals) {
    if (!removal.key.empty()) batch.Delete(impl_->by_version, removal.key);
    if (!removal.line.empty()) batch.Delete(impl_->by_supersession, removal.line);
    if (removal.inline_value) {
      batch.Delete(impl_->by_blob, index_key::of_blob(*removal.inline_value));
    }
    if (removal.unmark) batch.Delete(impl_->by_damage, index_key::of_blob(*removal.unmark));
  }
  const auto status = impl_->write(batch);
  if (!status.ok()) return index_write_failure("drop versions", status);
  return {};
}

Status Index::reclaim() {
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  options.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kForce;
  options.blob_garbage_collection_age_cutoff = 1.0;
  const auto status = impl_->db->CompactRange(options, impl_->by_blob, nullptr, nullptr);
  if (!status.ok()) return index_write_failure("give the space of dropped objects back", status);
  return {};
}

void Index::stop_reclaiming() {
  impl_->db->DisableManualCompaction();
}

}  // namespace zerodb
