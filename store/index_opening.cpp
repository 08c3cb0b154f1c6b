#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>

#include <algorithm>
#include <system_error>

#include "store/file.hpp"
#include "store/index_impl.hpp"

namespace zerodb {

namespace {

using rocksdb::ColumnFamilyOptions;
using Families = std::vector<rocksdb::ColumnFamilyDescriptor>;

constexpr std::size_t write_buffer_bytes = 16 << 20;
constexpr std::size_t write_buffers_bytes = 64 << 20;
constexpr std::uint64_t wal_bytes_max = 128 << 20;
constexpr int open_files_max = 256;
constexpr std::uint64_t inline_blob_bytes_min = 4096;
constexpr std::uint64_t salvage_cache_bytes = 8 << 20;
constexpr std::uint64_t empty_tables_from = 1'000'000'000'000;  // no index has so many files

// ------------------------------------------------------------------------------------- options

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

// -------------------------------------------------------------------------------------- errors

/// Lost files are as bad as damaged ones; a disk that refuses is another matter.
Errc code_of(const rocksdb::Status& status) {
  if (status.IsPathNotFound() || status.IsCorruption()) return Errc::corrupt;
  if (status.IsNotFound()) return Errc::not_found;
  if (status.IsNoSpace()) return Errc::full;
  return Errc::io;
}

/// RocksDB says in words alone what it was at: "IO error: While pread offset 0 len 53: /a/file:
/// ...".
bool is_of_reading(const rocksdb::Status& status) {
  const auto said = status.ToString();
  return said.substr(0, said.find(": /")).find("read") != std::string::npos;
}

/// A file that is gone, or that the disk cannot read: RocksDB passes errno on in words alone.
bool is_unreadable(const rocksdb::Status& status) {
  if (status.IsPathNotFound()) return true;
  const auto said = status.ToString();
  return status.IsIOError() && std::ranges::any_of(damage_errnos, [&](int number) {
           return said.ends_with(std::generic_category().message(number));
         });
}

/// Of an index of which not even the list of files can be read nothing can be saved: it is no more
/// damaged than the disk is, and stays as it is.
tl::unexpected<Error> open_failure(const std::filesystem::path& folder,
                                   const rocksdb::Status& status, Index::Mode mode) {
  if (status.IsIOError() && status.ToString().find("lock ") != std::string::npos) {
    return fail(Errc::busy, "another process has " + folder.string() + " open");
  }
  const auto doing = "open " + folder.string();
  // Opening writes, too, and what could not be written is no damage.
  auto error = mode == Index::Mode::salvage ? index_failure(doing, status)
                                            : index_write_failure(doing, status);
  if (status.IsNotFound()) error.value().code = Errc::corrupt;
  return error;
}

/// RocksDB takes a list of files that it may not look at for none, and would make an index anew.
bool is_there(const std::filesystem::path& folder) {
  std::error_code error;
  return std::filesystem::status(folder / "CURRENT", error).type() !=
         std::filesystem::file_type::not_found;
}

}  // namespace

tl::unexpected<Error> index_failure(std::string_view doing, const rocksdb::Status& status) {
  return fail(code_of(status), "index: cannot " + std::string(doing) + ": " + status.ToString());
}

tl::unexpected<Error> index_read_failure(std::string_view doing, const rocksdb::Status& status) {
  auto failure = index_failure(doing, status);
  if (is_unreadable(status)) failure.value().code = Errc::corrupt;
  return failure;
}

tl::unexpected<Error> index_write_failure(std::string_view doing, const rocksdb::Status& status) {
  return is_of_reading(status) ? index_read_failure(doing, status) : index_failure(doing, status);
}

rocksdb::WriteOptions durable_write() {
  rocksdb::WriteOptions options;
  options.sync = true;
  return options;
}

rocksdb::Status Index::Impl::open(const rocksdb::DBOptions& options, const std::string& folder,
                                  const Families& wanted) {
  rocksdb::DB* opened = nullptr;
  const auto status = rocksdb::DB::Open(options, folder, wanted, &families, &opened);
  db.reset(opened);
  return status;
}

rocksdb::Status Index::Impl::open_for_reading(const std::string& folder, const Families& wanted) {
  rocksdb::DB* opened = nullptr;
  const auto status =
      rocksdb::DB::OpenForReadOnly(db_options(Mode::salvage), folder, wanted, &families, &opened);
  db.reset(opened);
  return status;
}

void Index::Impl::name_families() {
  for (auto* family : families) {
    if (family->GetName() == "versions") by_version = family;
    if (family->GetName() == "inline") by_blob = family;
    if (family->GetName() == "superseded") by_supersession = family;
    if (family->GetName() == "damaged") by_damage = family;
  }
}

Status Index::Impl::make_empty_tables() const {
  for (auto* family : families) {
    auto status = db->Delete(durable_write(), family, "");
    if (status.ok()) status = db->Flush(rocksdb::FlushOptions(), family);
    if (!status.ok()) return index_failure("make an empty table", status);
  }
  return {};
}

Index::Impl::~Impl() {
  for (auto* family : families)
    db->DestroyColumnFamilyHandle(family);
  if (db) db->Close().PermitUncheckedError();
}

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

}  // namespace zerodb
