#include "store/index.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <system_error>

#include "store/file.hpp"

namespace zerodb {

namespace {

using rocksdb::ColumnFamilyHandle;
using rocksdb::ColumnFamilyOptions;
using rocksdb::Slice;

constexpr std::size_t write_buffer_bytes = 16 << 20;
constexpr std::size_t write_buffers_bytes = 64 << 20;
constexpr std::uint64_t wal_bytes_max = 128 << 20;
constexpr int open_files_max = 256;
constexpr std::uint64_t inline_blob_bytes_min = 4096;
constexpr std::size_t page_entries_max = 65536;
constexpr std::uint64_t salvage_cache_bytes = 8 << 20;
constexpr std::uint64_t empty_tables_from = 1'000'000'000'000;  // no index has so many files

std::string_view view_of(const Slice& slice) {
  return {slice.data(), slice.size()};
}

/// Lost files are as bad as damaged ones; a disk that refuses is another matter.
Errc code_of(const rocksdb::Status& status) {
  if (status.IsPathNotFound() || status.IsCorruption()) return Errc::corrupt;
  if (status.IsNotFound()) return Errc::not_found;
  if (status.IsNoSpace()) return Errc::full;
  return Errc::io;
}

tl::unexpected<Error> index_failure(std::string_view doing, const rocksdb::Status& status) {
  return fail(code_of(status), "index: cannot " + std::string(doing) + ": " + status.ToString());
}

/// A file that is gone, or that the disk cannot read: RocksDB passes errno on in words alone.
bool is_unreadable(const rocksdb::Status& status) {
  if (status.IsPathNotFound()) return true;
  const auto said = status.ToString();
  return status.IsIOError() && std::ranges::any_of(damage_errnos, [&](int number) {
           return said.ends_with(std::generic_category().message(number));
         });
}

/// What cannot be read any more is damaged, as what fails its checksum is.
tl::unexpected<Error> index_read_failure(std::string_view doing, const rocksdb::Status& status) {
  auto failure = index_failure(doing, status);
  if (is_unreadable(status)) failure.value().code = Errc::corrupt;
  return failure;
}

/// RocksDB takes a list of files that it may not look at for none, and would make an index anew.
bool is_there(const std::filesystem::path& folder) {
  std::error_code error;
  return std::filesystem::status(folder / "CURRENT", error).type() !=
         std::filesystem::file_type::not_found;
}

rocksdb::WALRecoveryMode log_reading(Index::Mode mode) {
  switch (mode) {
    case Index::Mode::strict:
      return rocksdb::WALRecoveryMode::kAbsoluteConsistency;
    case Index::Mode::up_to_damage:
      return rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    case Index::Mode::salvage:
      break;
  }
  return rocksdb::WALRecoveryMode::kSkipAnyCorruptedRecords;
}

rocksdb::DBOptions db_options(Index::Mode mode) {
  rocksdb::DBOptions options;
  options.wal_recovery_mode = log_reading(mode);
  options.paranoid_checks = mode != Index::Mode::salvage;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.db_write_buffer_size = write_buffers_bytes;
  options.max_total_wal_size = wal_bytes_max;
  options.max_background_jobs = 2;
  options.max_open_files = open_files_max;
  options.keep_log_file_num = 2;
  options.max_log_file_size = 1 << 20;
  options.info_log_level = rocksdb::WARN_LEVEL;
  options.track_and_verify_wals_in_manifest = true;
  return options;
}

rocksdb::BlockBasedTableOptions table_options(const std::shared_ptr<rocksdb::Cache>& cache) {
  rocksdb::BlockBasedTableOptions options;
  options.block_cache = cache;
  options.cache_index_and_filter_blocks = true;
  options.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  return options;
}

ColumnFamilyOptions family_options(const rocksdb::BlockBasedTableOptions& table) {
  ColumnFamilyOptions options;
  options.write_buffer_size = write_buffer_bytes;
  options.compression = rocksdb::kLZ4Compression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

/// Looking for the latest version is a seek to the object; Bloom filters are over objects.
ColumnFamilyOptions version_options(rocksdb::BlockBasedTableOptions table) {
  table.whole_key_filtering = false;
  auto options = family_options(table);
  options.prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(index_key::object_bytes));
  options.memtable_prefix_bloom_size_ratio = 0.1;
  return options;
}

/// Ciphertext does not compress; values live beside the tree, so that compaction does not copy
/// them.
ColumnFamilyOptions inline_options(const rocksdb::BlockBasedTableOptions& table) {
  auto options = family_options(table);
  options.compression = rocksdb::kNoCompression;
  options.enable_blob_files = true;
  options.min_blob_size = inline_blob_bytes_min;
  options.enable_blob_garbage_collection = true;
  return options;
}

/// The same for every writer, so that their fsyncs are shared.
rocksdb::WriteOptions durable() {
  rocksdb::WriteOptions options;
  options.sync = true;
  return options;
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

struct Index::Impl {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<ColumnFamilyHandle*> families;
  ColumnFamilyHandle* by_version = nullptr;
  ColumnFamilyHandle* by_blob = nullptr;
  ColumnFamilyHandle* by_supersession = nullptr;
  ColumnFamilyHandle* by_damage = nullptr;

  rocksdb::Status open(const rocksdb::DBOptions& options, const std::string& folder,
                       const std::vector<rocksdb::ColumnFamilyDescriptor>& wanted) {
    rocksdb::DB* opened = nullptr;
    const auto status = rocksdb::DB::Open(options, folder, wanted, &families, &opened);
    db.reset(opened);
    return status;
  }

  rocksdb::Status open_for_reading(const std::string& folder,
                                   const std::vector<rocksdb::ColumnFamilyDescriptor>& wanted) {
    rocksdb::DB* opened = nullptr;
    const auto status =
        rocksdb::DB::OpenForReadOnly(db_options(Mode::salvage), folder, wanted, &families, &opened);
    db.reset(opened);
    return status;
  }

  /// One of each family, with nothing in it but that a key that never was is gone.
  Status make_empty_tables() const {
    for (auto* family : families) {
      auto status = db->Delete(durable(), family, "");
      if (status.ok()) status = db->Flush(rocksdb::FlushOptions(), family);
      if (!status.ok()) return index_failure("make an empty table", status);
    }
    return {};
  }

  void name_families() {
    for (auto* family : families) {
      if (family->GetName() == "versions") by_version = family;
      if (family->GetName() == "inline") by_blob = family;
      if (family->GetName() == "superseded") by_supersession = family;
      if (family->GetName() == "damaged") by_damage = family;
    }
  }

  ~Impl() {
    for (auto* family : families)
      db->DestroyColumnFamilyHandle(family);
    if (db) db->Close().PermitUncheckedError();
  }

  Iterator iterate(const rocksdb::ReadOptions& options) const {
    return Iterator(db->NewIterator(options, by_version));
  }

  /// Apart from its callers, so that ThreadSanitizer, which cannot see into RocksDB, shows them.
  [[gnu::noinline]] rocksdb::Status write(rocksdb::WriteBatch& batch) const {
    return db->Write(durable(), &batch);
  }

  /// Visits the versions of an object, latest first, until `visit` answers true.
  template <class Visit>
  Status walk(const ObjectId& object, Visit visit) const {
    const auto at = iterate(within_object());
    for (at->Seek(index_key::of_object(object)); at->Valid(); at->Next()) {
      const Result<bool> done = visit(view_of(at->key()), view_of(at->value()));
      if (!done) return fail(done.error());
      if (*done) return {};
    }
    if (!at->status().ok()) return index_read_failure("read versions", at->status());
    return {};
  }

  /// The latest version of an object whose encoded value is `wanted`.
  template <class Wanted>
  Result<std::optional<SignedManifest>> latest_that(const ObjectId& object, Wanted wanted) const {
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
};

Index::Index(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Index::~Index() = default;

namespace {

/// Of an index of which not even the list of files can be read nothing can be saved: it is no more
/// damaged than the disk is, and stays as it is.
tl::unexpected<Error> open_failure(const std::filesystem::path& folder,
                                   const rocksdb::Status& status, Index::Mode mode) {
  if (status.IsIOError() && status.ToString().find("lock ") != std::string::npos) {
    return fail(Errc::busy, "another process has " + folder.string() + " open");
  }
  const auto doing = "open " + folder.string();
  // Opening writes, too, and what could not be written is no damage.
  const bool is_of_reading = status.ToString().find("read") != std::string::npos;
  auto error = is_of_reading && mode != Index::Mode::salvage ? index_read_failure(doing, status)
                                                             : index_failure(doing, status);
  if (status.IsNotFound()) error.value().code = Errc::corrupt;
  return error;
}

using Families = std::vector<rocksdb::ColumnFamilyDescriptor>;

Families all_families(std::uint64_t cache_bytes, Index::Mode mode) {
  const auto table = table_options(rocksdb::NewLRUCache(cache_bytes));
  Families families{{rocksdb::kDefaultColumnFamilyName, family_options(table)},
                    {"versions", version_options(table)},
                    {"inline", inline_options(table)},
                    {"superseded", family_options(table)},
                    {"damaged", family_options(table)}};
  // What is saved of a log may be in a table already: two tables of the same numbers.
  for (auto& family : families)
    family.options.force_consistency_checks = mode != Index::Mode::salvage;
  return families;
}

/// Without those that an index lacks whose making was broken off, or of which all is lost.
rocksdb::Status leave_out_missing(const std::string& folder, Families& families) {
  std::vector<std::string> there;
  const auto status =
      rocksdb::DB::ListColumnFamilies(db_options(Index::Mode::salvage), folder, &there);
  std::erase_if(families,
                [&](const auto& family) { return !std::ranges::count(there, family.name); });
  return status;
}

}  // namespace

Result<std::unique_ptr<Index>> Index::open(const std::filesystem::path& folder, Mode mode,
                                           std::uint64_t cache_bytes) {
  auto families = all_families(cache_bytes, mode);
  auto impl = std::make_unique<Impl>();
  rocksdb::Status status;
  if (mode == Mode::salvage) {
    status = leave_out_missing(folder.string(), families);
    if (status.ok()) status = impl->open_for_reading(folder.string(), families);
  } else {
    auto options = db_options(mode);
    options.create_if_missing = !is_there(folder);
    status = impl->open(options, folder.string(), families);
  }
  if (!status.ok()) return open_failure(folder, status, mode);
  impl->name_families();
  if (impl->by_version != nullptr) return std::unique_ptr<Index>(new Index(std::move(impl)));
  return fail(Errc::corrupt, "index: no versions in " + folder.string());
}

Status Index::repair(const std::filesystem::path& folder) {
  if (auto made = add_empty_tables(folder); !made) return made;
  const auto status = rocksdb::RepairDB(folder.string(), db_options(Mode::salvage),
                                        all_families(salvage_cache_bytes, Mode::salvage));
  if (!status.ok()) return index_failure("repair " + folder.string(), status);
  return {};
}

/// RepairDB knows a family by its tables, and passes over what logs have of any other.
Status Index::add_empty_tables(const std::filesystem::path& folder) {
  const auto apart = folder / "empty";
  {
    const auto empty = open(apart);
    if (!empty) return fail(empty.error());
    if (auto made = (*empty)->impl_->make_empty_tables(); !made) return made;
  }
  auto number = empty_tables_from;
  std::error_code error;
  for (auto it = std::filesystem::directory_iterator(apart, error);
       !error && it != std::filesystem::directory_iterator();) {
    const auto path = it->path();
    it.increment(error);
    if (error || path.extension() != ".sst") continue;
    std::filesystem::rename(path, folder / (std::to_string(number++) + ".sst"), error);
  }
  if (!error) return {};
  return fail(Errc::io, "index: cannot move tables of " + apart.string() + ": " + error.message());
}

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
  if (!status.ok()) return index_failure("write", status);
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
  if (!status.ok()) return index_failure("mark a damaged version", status);
  return {};
}

Status Index::unmark(const std::vector<ChunkBinding>& bindings) {
  rocksdb::WriteBatch batch;
  for (const auto& binding : bindings)
    batch.Delete(impl_->by_damage, index_key::of_blob(binding));
  const auto status = impl_->write(batch);
  if (!status.ok()) return index_failure("unmark versions", status);
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
  if (!status.ok()) return index_failure("drop versions", status);
  return {};
}

Status Index::reclaim() {
  rocksdb::CompactRangeOptions options;
  options.exclusive_manual_compaction = false;
  options.bottommost_level_compaction = rocksdb::BottommostLevelCompaction::kForceOptimized;
  options.blob_garbage_collection_policy = rocksdb::BlobGarbageCollectionPolicy::kForce;
  options.blob_garbage_collection_age_cutoff = 1.0;
  const auto status = impl_->db->CompactRange(options, impl_->by_blob, nullptr, nullptr);
  if (!status.ok()) return index_failure("give the space of dropped objects back", status);
  return {};
}

}  // namespace zerodb
