#include <rocksdb/env.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <mutex>
#include <shared_mutex>

#include "store/disk_event_log.hpp"
#include "store/encrypted_env.hpp"
#include "store/file.hpp"
#include "store/name_database.hpp"
#include "store/name_store.hpp"

namespace zerodb {
namespace {

namespace fs = std::filesystem;
using rocksdb::Slice;

constexpr std::size_t lookups_at_once = 256;
constexpr std::string_view synced_note = "synced";

// --------------------------------------------------------------------------------- keys and values

constexpr std::size_t known_bytes = 8 + 32 + 1;
constexpr std::uint8_t known_deleted = 1;

std::string encode(const KnownObject& known) {
  Bytes value(known_bytes);
  put_u64(MutableBytes(value).first(8), known.latest.version.value);
  std::ranges::copy(known.latest.hash.view(), value.begin() + 8);
  value.back() = known.deleted ? known_deleted : 0;
  return std::string(as_text(value));
}

Result<KnownObject> decode_known(const HashedKey& key, const Slice& value) {
  const auto bytes = bytes_of(value);
  if (bytes.size() != known_bytes || bytes.back() > known_deleted) {
    return fail(Errc::corrupt, "catalogue: what is known of an object");
  }
  return KnownObject{.hashed_key = key,
                     .latest = {.version = {get_u64(bytes.first(8))},
                                .hash = *ManifestHash::from(bytes.subspan(8, 32))},
                     .deleted = bytes.back() == known_deleted};
}

constexpr std::size_t listed_bytes = 8 + 8;

std::string encode(const NameEntry& entry) {
  Bytes value(listed_bytes + (entry.mtime_ms ? 8 : 0));
  const MutableBytes at(value);
  put_u64(at.first(8), entry.version.value);
  put_u64(at.subspan(8, 8), entry.size);
  if (entry.mtime_ms) put_u64(at.subspan(16, 8), static_cast<std::uint64_t>(*entry.mtime_ms));
  return std::string(as_text(value));
}

Result<NameEntry> decode_listed(const Slice& name, const Slice& value) {
  const auto bytes = bytes_of(value);
  if (bytes.size() != listed_bytes && bytes.size() != listed_bytes + 8) {
    return fail(Errc::corrupt, "catalogue: a name's length");
  }
  NameEntry entry{.name = name.ToString(),
                  .size = get_u64(bytes.subspan(8, 8)),
                  .version = {get_u64(bytes.first(8))}};
  if (bytes.size() > listed_bytes) {
    entry.mtime_ms = static_cast<std::int64_t>(get_u64(bytes.subspan(16, 8)));
  }
  return entry;
}

Result<std::vector<fs::path>> encrypted_files(const fs::path& folder) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    const bool encrypted = at->path().filename() != "LOCK" && at->is_regular_file(ignored);
    if (encrypted) files.push_back(at->path());
  }
  if (!error || error == std::errc::no_such_file_or_directory) return files;
  return fail(Errc::io, "cannot look through " + folder.string() + ": " + error.message());
}

/// A file's name may outlive a power cut that its first bytes do not. RocksDB refers to none before
/// it is synced, but for the latest log, so such a one goes; if it is missing, RocksDB says so.
/// CURRENT gets its name when it is whole.
Status remove_begun_file(const fs::path& file) {
  std::error_code error;
  fs::remove(file, error);
  if (!error) return {};
  return fail(Errc::io, "cannot remove " + file.string() + ": " + error.message());
}

/// Whether what is in the folder is of this key, all of it.
Result<bool> is_all_of_key(const fs::path& folder, const Secret<32>& key) {
  const auto files = encrypted_files(folder);
  if (!files) return fail(files.error());
  for (const auto& file : *files) {
    const auto head = look_at_head(file, key);
    if (!head) return fail(head.error());
    if (*head == FileHead::cut && file.filename() != "CURRENT") {
      if (auto removed = remove_begun_file(file); !removed) return fail(std::move(removed.error()));
    } else if (*head != FileHead::own) {
      return false;
    }
  }
  return true;
}

// ------------------------------------------------------------------------------------------- store

class DiskNameStore final : public NameStore {
 public:
  DiskNameStore(fs::path folder, const Secret<32>& key)
      : folder_(std::move(folder)), key_(key.clone()), env_(make_encrypted_env(key)) {}

  /// Empties the folder if what is in it can never be used.
  Status open();

  Result<std::vector<std::optional<KnownVersion>>> known(
      std::span<const HashedKey> objects) override;
  Result<std::vector<KnownObject>> known_in(Partition partition) override;
  Result<NamePage> page(const ListQuery& query) override;
  Status write(std::span<const NameRecord> records, const NameNotes& notes,
               const NameWrite& how) override;
  Result<EventPage> events(const EventQuery& query) override;
  Result<NameNotes> notes() override;
  Status clear() override;

 private:
  using Shared = std::shared_lock<std::shared_mutex>;

  Status open_as_it_is();
  Status open_empty();
  Status check_open() const;
  Result<std::vector<std::optional<KnownVersion>>> look_up(std::span<const HashedKey> objects);
  Status use(std::unique_ptr<NameDatabase> database);
  Status add_news(rocksdb::WriteBatch& batch, DiskEventLog::Change& change,
                  std::span<const NameRecord> records, std::uint64_t now_ms);
  Status write_batch(std::span<const NameRecord> records, const NameNotes& notes,
                     const NameWrite& how);
  Status sync();

  fs::path folder_;
  Secret<32> key_;
  std::optional<FolderLock> lock_;  ///< beside the folder, which may be emptied
  std::unique_ptr<rocksdb::Env> env_;
  std::shared_mutex open_mutex_;  ///< held alone by whoever replaces the database
  std::mutex write_mutex_;        ///< writers look before they write
  std::unique_ptr<NameDatabase> database_;
  std::unique_ptr<DiskEventLog> log_;
};

Status DiskNameStore::open() {
  if (auto made = make_folders(folder_.parent_path()); !made) return made;
  auto lock = FolderLock::take(folder_.string() + ".lock");
  if (!lock) return fail("catalogue", std::move(lock.error()));
  lock_.emplace(std::move(*lock));
  const auto own = is_all_of_key(folder_, key_);
  if (!own) return fail("catalogue", Error(own.error()));
  auto opened = *own ? open_as_it_is() : fail(Errc::corrupt, "of another key");
  // A disk that refuses, or is full, takes nothing that another start could read.
  return !opened && opened.error().code == Errc::corrupt ? open_empty() : opened;
}

Status DiskNameStore::open_as_it_is() {
  auto opened = NameDatabase::open(folder_, env_.get());
  if (!opened) return fail(std::move(opened.error()));
  return use(std::move(*opened));
}

Status DiskNameStore::use(std::unique_ptr<NameDatabase> database) {
  auto log = DiskEventLog::open(*database);
  if (!log) return fail(std::move(log.error()));
  database_ = std::move(database);
  log_ = std::move(*log);
  return {};
}

Status DiskNameStore::open_empty() {
  log_.reset();
  database_.reset();
  std::error_code error;
  fs::remove_all(folder_, error);
  if (error) {
    return fail(Errc::io, "catalogue: cannot empty " + folder_.string() + ": " + error.message());
  }
  return open_as_it_is();
}

Status DiskNameStore::check_open() const {
  if (!database_) return fail(Errc::io, "catalogue: " + folder_.string() + " is not open");
  return {};
}

Result<std::vector<std::optional<KnownVersion>>> DiskNameStore::known(
    std::span<const HashedKey> objects) {
  const Shared lock(open_mutex_);
  if (auto ready = check_open(); !ready) return fail(std::move(ready.error()));
  return look_up(objects);
}

Result<std::vector<std::optional<KnownVersion>>> DiskNameStore::look_up(
    std::span<const HashedKey> objects) {
  std::vector<std::optional<KnownVersion>> found;
  found.reserve(objects.size());
  while (!objects.empty()) {
    const auto some = objects.first(std::min(objects.size(), lookups_at_once));
    objects = objects.subspan(some.size());
    std::vector<Slice> keys;
    for (const auto& object : some)
      keys.push_back(slice_of(object.view()));
    std::vector<rocksdb::PinnableSlice> values(some.size());
    std::vector<rocksdb::Status> statuses(some.size());
    database_->db->MultiGet(rocksdb::ReadOptions(), database_->objects, keys.size(), keys.data(),
                            values.data(), statuses.data());
    for (std::size_t i = 0; i < some.size(); ++i) {
      auto& known = found.emplace_back();
      if (statuses[i].IsNotFound()) continue;
      if (!statuses[i].ok()) return catalogue_failure("look up", statuses[i]);
      auto decoded = decode_known(some[i], values[i]);
      if (!decoded) return fail(std::move(decoded.error()));
      known = decoded->latest;
    }
  }
  return found;
}

Result<std::vector<KnownObject>> DiskNameStore::known_in(Partition partition) {
  const Shared lock(open_mutex_);
  if (auto ready = check_open(); !ready) return fail(std::move(ready.error()));
  const std::unique_ptr<rocksdb::Iterator> at(
      database_->db->NewIterator(rocksdb::ReadOptions(), database_->objects));
  std::vector<KnownObject> found;
  for (at->Seek(slice_of(first_key_of(partition).view())); at->Valid(); at->Next()) {
    const auto key = HashedKey::from(bytes_of(at->key()));
    if (!key) return fail(key.error());
    if (partition_of(*key) != partition) break;
    auto known = decode_known(*key, at->value());
    if (!known) return fail(std::move(known.error()));
    found.push_back(*known);
  }
  if (!at->status().ok()) return catalogue_failure("list objects", at->status());
  return found;
}

Result<NamePage> DiskNameStore::page(const ListQuery& query) {
  const Shared lock(open_mutex_);
  if (auto ready = check_open(); !ready) return fail(std::move(ready.error()));
  const std::unique_ptr<rocksdb::Iterator> at(
      database_->db->NewIterator(rocksdb::ReadOptions(), database_->names));
  PageBuilder page(query.limit);
  for (at->Seek(first_name_of(query)); at->Valid(); at->Next()) {
    if (!at->key().starts_with(query.prefix)) break;
    auto entry = decode_listed(at->key(), at->value());
    if (!entry) return fail(std::move(entry.error()));
    if (!page.add(std::move(*entry))) break;
  }
  if (!at->status().ok()) return catalogue_failure("list names", at->status());
  return page.finish();
}

Status DiskNameStore::write(std::span<const NameRecord> records, const NameNotes& notes,
                            const NameWrite& how) {
  const Shared lock(open_mutex_);
  const std::lock_guard one_writer(write_mutex_);
  if (auto ready = check_open(); !ready) return ready;
  return write_batch(records, notes, how);
}

Status DiskNameStore::add_news(rocksdb::WriteBatch& batch, DiskEventLog::Change& change,
                               std::span<const NameRecord> records, std::uint64_t now_ms) {
  std::vector<HashedKey> objects;
  objects.reserve(records.size());
  for (const auto& record : records)
    objects.push_back(record.hashed_key);
  const auto known = look_up(objects);
  if (!known) return fail(known.error());
  for (const auto* record : later_than(records, *known)) {
    batch.Put(database_->objects, slice_of(record->hashed_key.view()), encode(record->object()));
    if (record->deleted) {
      batch.Delete(database_->names, record->entry.name);
    } else {
      batch.Put(database_->names, record->entry.name, encode(record->entry));
    }
    log_->append(batch, change,
                 {.time_ms = now_ms, .deleted = record->deleted, .entry = record->entry});
  }
  return {};
}

Status DiskNameStore::write_batch(std::span<const NameRecord> records, const NameNotes& notes,
                                  const NameWrite& how) {
  rocksdb::WriteBatch batch;
  auto change = log_->begin();
  change.durable = how.durable;
  if (auto added = add_news(batch, change, records, how.now_ms); !added) return added;
  if (auto trimmed = log_->trim(batch, change, how.bounds, how.now_ms); !trimmed) return trimmed;
  for (const auto& [key, value] : notes) {
    if (value) {
      batch.Put(database_->notes, "n" + key, slice_of(*value));
    } else {
      batch.Delete(database_->notes, "n" + key);
    }
  }
  rocksdb::WriteOptions options;
  options.sync = how.durable;
  const auto status = database_->db->Write(options, &batch);
  if (!status.ok()) return catalogue_failure("write", status);
  log_->written(change);
  return {};
}

/// A synced write makes all before it durable, too.
Status DiskNameStore::sync() {
  const std::lock_guard one_writer(write_mutex_);
  if (!log_->needs_sync()) return {};
  auto change = log_->begin();
  change.durable = true;
  rocksdb::WriteBatch batch;
  batch.Put(database_->notes, Slice(synced_note), Slice());
  rocksdb::WriteOptions options;
  options.sync = true;
  const auto status = database_->db->Write(options, &batch);
  if (!status.ok()) return catalogue_failure("sync", status);
  log_->written(change);
  return {};
}

Result<EventPage> DiskNameStore::events(const EventQuery& query) {
  const Shared lock(open_mutex_);
  if (auto ready = check_open(); !ready) return fail(std::move(ready.error()));
  if (auto synced = sync(); !synced) return fail(std::move(synced.error()));
  return log_->page(query);
}

Result<NameNotes> DiskNameStore::notes() {
  const Shared lock(open_mutex_);
  if (auto ready = check_open(); !ready) return fail(std::move(ready.error()));
  const std::unique_ptr<rocksdb::Iterator> at(
      database_->db->NewIterator(rocksdb::ReadOptions(), database_->notes));
  NameNotes notes;
  for (at->Seek("n"); at->Valid() && at->key().starts_with("n"); at->Next()) {
    notes[at->key().ToString().substr(1)] = to_bytes(bytes_of(at->value()));
  }
  if (!at->status().ok()) return catalogue_failure("read notes", at->status());
  return notes;
}

Status DiskNameStore::clear() {
  const std::lock_guard alone(open_mutex_);
  return open_empty();
}

}  // namespace

Result<std::unique_ptr<NameStore>> open_name_store(const fs::path& folder, const Secret<32>& key) {
  auto store = std::make_unique<DiskNameStore>(folder, key);
  if (auto opened = store->open(); !opened) return fail(std::move(opened.error()));
  return store;
}

}  // namespace zerodb
