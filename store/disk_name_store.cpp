#include <rocksdb/cache.h>
#include <rocksdb/db.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <mutex>
#include <shared_mutex>
#include <unordered_map>

#include "store/encrypted_env.hpp"
#include "store/file.hpp"
#include "store/name_store.hpp"

namespace zerodb {
namespace {

namespace fs = std::filesystem;
using rocksdb::Slice;

constexpr std::size_t cache_bytes = 8 << 20;
constexpr std::size_t write_buffer_bytes = 4 << 20;
constexpr std::size_t write_buffers_bytes = 12 << 20;
constexpr std::uint64_t wal_bytes_max = 32 << 20;
constexpr int open_name_files_max = 128;
constexpr std::size_t lookups_at_once = 256;
constexpr std::string_view format = "1";
constexpr std::string_view format_note = "format";

// ---------------------------------------------------------------------------------------- settings

/// RocksDB would write its own log in the clear.
class NoLog final : public rocksdb::Logger {
 public:
  using rocksdb::Logger::Logv;
  void Logv(const char*, std::va_list) override {}
};

rocksdb::DBOptions db_options(rocksdb::Env* env) {
  rocksdb::DBOptions options;
  options.env = env;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.db_write_buffer_size = write_buffers_bytes;
  options.max_total_wal_size = wal_bytes_max;
  options.max_open_files = open_name_files_max;
  options.info_log = std::make_shared<NoLog>();
  options.stats_dump_period_sec = 0;
  options.stats_persist_period_sec = 0;
  options.track_and_verify_wals_in_manifest = true;
  return options;
}

rocksdb::ColumnFamilyOptions family_options(const std::shared_ptr<rocksdb::Cache>& cache,
                                            bool looked_up) {
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = cache;
  table.cache_index_and_filter_blocks = true;
  if (looked_up) table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  rocksdb::ColumnFamilyOptions options;
  options.write_buffer_size = write_buffer_bytes;
  options.compression = rocksdb::kLZ4Compression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

// --------------------------------------------------------------------------------- keys and values

Slice slice_of(ByteView bytes) {
  return {as_text(bytes).data(), bytes.size()};
}
ByteView bytes_of(const Slice& slice) {
  return as_bytes({slice.data(), slice.size()});
}

constexpr std::size_t known_bytes = 8 + 32;

std::string encode(const KnownVersion& known) {
  Bytes value(known_bytes);
  put_u64(MutableBytes(value).first(8), known.version.value);
  std::ranges::copy(known.hash.view(), value.begin() + 8);
  return std::string(as_text(value));
}

Result<KnownVersion> decode_known(const Slice& value) {
  const auto bytes = bytes_of(value);
  if (bytes.size() != known_bytes) return fail(Errc::corrupt, "catalogue: a version's length");
  return KnownVersion{.version = {get_u64(bytes.first(8))},
                      .hash = *ManifestHash::from(bytes.subspan(8))};
}

constexpr std::size_t listed_bytes = 8 + 8;

std::string encode(const ListEntry& entry) {
  Bytes value(listed_bytes + (entry.mtime_ms ? 8 : 0));
  const MutableBytes at(value);
  put_u64(at.first(8), entry.version.value);
  put_u64(at.subspan(8, 8), entry.size);
  if (entry.mtime_ms) put_u64(at.subspan(16, 8), static_cast<std::uint64_t>(*entry.mtime_ms));
  return std::string(as_text(value));
}

Result<ListEntry> decode_listed(const Slice& name, const Slice& value) {
  const auto bytes = bytes_of(value);
  if (bytes.size() != listed_bytes && bytes.size() != listed_bytes + 8) {
    return fail(Errc::corrupt, "catalogue: a name's length");
  }
  ListEntry entry{.name = name.ToString(),
                  .size = get_u64(bytes.subspan(8, 8)),
                  .version = {get_u64(bytes.first(8))},
                  .mtime_ms = {}};
  if (bytes.size() > listed_bytes) {
    entry.mtime_ms = static_cast<std::int64_t>(get_u64(bytes.subspan(16, 8)));
  }
  return entry;
}

tl::unexpected<Error> failure(std::string_view doing, const rocksdb::Status& status) {
  const auto code = status.IsCorruption() ? Errc::corrupt
                    : status.IsNoSpace()  ? Errc::full
                                          : Errc::io;
  return fail(code, "catalogue: cannot " + std::string(doing) + ": " + status.ToString());
}

// ---------------------------------------------------------------------------------------- database

/// An open database. The environment outlives it.
struct Database {
  static Result<std::unique_ptr<Database>> open(const fs::path& folder, rocksdb::Env* env);
  Database() = default;
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;
  ~Database() {
    for (auto* family : families)
      db->DestroyColumnFamilyHandle(family);
    if (db) db->Close().PermitUncheckedError();
  }
  Status check_format();

  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  rocksdb::ColumnFamilyHandle* notes = nullptr;    ///< key -> value
  rocksdb::ColumnFamilyHandle* names = nullptr;    ///< name -> what a listing shows
  rocksdb::ColumnFamilyHandle* objects = nullptr;  ///< hashed key -> the latest version known
};

Result<std::unique_ptr<Database>> Database::open(const fs::path& folder, rocksdb::Env* env) {
  if (auto made = make_folders(folder); !made) return fail(std::move(made.error()));
  const auto cache = rocksdb::NewLRUCache(cache_bytes);
  const std::vector<rocksdb::ColumnFamilyDescriptor> families{
      {rocksdb::kDefaultColumnFamilyName, family_options(cache, false)},
      {"names", family_options(cache, false)},
      {"objects", family_options(cache, true)}};
  auto opened = std::make_unique<Database>();
  rocksdb::DB* db = nullptr;
  const auto status =
      rocksdb::DB::Open(db_options(env), folder.string(), families, &opened->families, &db);
  opened->db.reset(db);
  if (!status.ok()) return failure("open " + folder.string(), status);
  opened->notes = opened->families[0];
  opened->names = opened->families[1];
  opened->objects = opened->families[2];
  if (auto known = opened->check_format(); !known) return fail(std::move(known.error()));
  return opened;
}

Status Database::check_format() {
  std::string found;
  const Slice key(format_note);
  const auto status = db->Get(rocksdb::ReadOptions(), notes, key, &found);
  if (status.IsNotFound()) {
    const auto written = db->Put(rocksdb::WriteOptions(), notes, key, Slice(format));
    if (!written.ok()) return failure("write", written);
    return {};
  }
  if (!status.ok()) return failure("read its format", status);
  if (found != format) return fail(Errc::corrupt, "catalogue: of another format");
  return {};
}

bool is_all_of_key(const fs::path& folder, const Secret<32>& key) {
  std::error_code failed;
  for (fs::directory_iterator at(folder, failed), end; !failed && at != end; at.increment(failed)) {
    std::error_code ignored;
    const bool encrypted = at->path().filename() != "LOCK" && at->is_regular_file(ignored);
    if (encrypted && !is_of_key(at->path(), key)) return false;
  }
  return true;
}

// ------------------------------------------------------------------------------------------- store

class DiskNameStore final : public NameStore {
 public:
  DiskNameStore(fs::path folder, const Secret<32>& key)
      : folder_(std::move(folder)), key_(key.clone()), env_(make_encrypted_env(key)) {}

  /// Empties the folder if what is in it cannot be used.
  Status open();

  Result<std::vector<std::optional<KnownVersion>>> known(
      std::span<const HashedKey> objects) override;
  Result<ListPage> page(const ListQuery& query) override;
  Status write(std::span<const NameRecord> records, const NameNotes& notes) override;
  Result<NameNotes> notes() override;
  Status clear() override;

 private:
  using Shared = std::shared_lock<std::shared_mutex>;

  Status open_empty();
  Status check_open() const;
  Result<std::vector<std::optional<KnownVersion>>> look_up(std::span<const HashedKey> objects);
  Result<std::vector<const NameRecord*>> news_among(std::span<const NameRecord> records);

  fs::path folder_;
  Secret<32> key_;
  std::optional<FolderLock> lock_;  ///< beside the folder, which may be emptied
  std::unique_ptr<rocksdb::Env> env_;
  std::shared_mutex open_mutex_;  ///< held alone by whoever replaces the database
  std::mutex write_mutex_;        ///< writers look before they write
  std::unique_ptr<Database> database_;
};

Status DiskNameStore::open() {
  if (auto made = make_folders(folder_.parent_path()); !made) return made;
  auto lock = FolderLock::take(folder_.string() + ".lock");
  if (!lock) return fail("catalogue", std::move(lock.error()));
  lock_.emplace(std::move(*lock));
  if (!is_all_of_key(folder_, key_)) return open_empty();
  auto opened = Database::open(folder_, env_.get());
  if (!opened) return open_empty();
  database_ = std::move(*opened);
  return {};
}

Status DiskNameStore::open_empty() {
  database_.reset();
  std::error_code error;
  fs::remove_all(folder_, error);
  if (error) {
    return fail(Errc::io, "catalogue: cannot empty " + folder_.string() + ": " + error.message());
  }
  auto opened = Database::open(folder_, env_.get());
  if (!opened) return fail(std::move(opened.error()));
  database_ = std::move(*opened);
  return {};
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
      if (!statuses[i].ok()) return failure("look up", statuses[i]);
      auto decoded = decode_known(values[i]);
      if (!decoded) return fail(std::move(decoded.error()));
      known = *decoded;
    }
  }
  return found;
}

Result<ListPage> DiskNameStore::page(const ListQuery& query) {
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
  if (!at->status().ok()) return failure("list names", at->status());
  return page.finish();
}

/// Of several records of one object only the latest.
Result<std::vector<const NameRecord*>> DiskNameStore::news_among(
    std::span<const NameRecord> records) {
  std::vector<HashedKey> objects;
  objects.reserve(records.size());
  for (const auto& record : records)
    objects.push_back(record.hashed_key);
  const auto known = look_up(objects);
  if (!known) return fail(known.error());
  std::unordered_map<HashedKey, const NameRecord*, IdHash> latest;
  for (std::size_t i = 0; i < records.size(); ++i) {
    const auto& record = records[i];
    if ((*known)[i] && record.known() <= *(*known)[i]) continue;
    auto& kept = latest[record.hashed_key];
    if (kept == nullptr || record.known() > kept->known()) kept = &record;
  }
  std::vector<const NameRecord*> news;
  news.reserve(latest.size());
  for (const auto& [object, record] : latest)
    news.push_back(record);
  return news;
}

Status DiskNameStore::write(std::span<const NameRecord> records, const NameNotes& notes) {
  const Shared lock(open_mutex_);
  const std::lock_guard one_writer(write_mutex_);
  if (auto ready = check_open(); !ready) return ready;
  const auto news = news_among(records);
  if (!news) return fail(news.error());
  rocksdb::WriteBatch batch;
  for (const auto* record : *news) {
    batch.Put(database_->objects, slice_of(record->hashed_key.view()), encode(record->known()));
    if (record->deleted) {
      batch.Delete(database_->names, record->entry.name);
    } else {
      batch.Put(database_->names, record->entry.name, encode(record->entry));
    }
  }
  for (const auto& [key, value] : notes) {
    if (value) {
      batch.Put(database_->notes, "n" + key, slice_of(*value));
    } else {
      batch.Delete(database_->notes, "n" + key);
    }
  }
  const auto status = database_->db->Write(rocksdb::WriteOptions(), &batch);
  if (!status.ok()) return failure("write", status);
  return {};
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
  if (!at->status().ok()) return failure("read notes", at->status());
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
