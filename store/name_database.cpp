#include "store/name_database.hpp"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>

#include "store/file.hpp"

namespace zerodb {
namespace {

using rocksdb::Slice;

constexpr std::size_t names_cache_bytes = 8 << 20;
constexpr std::size_t names_buffer_bytes = 4 << 20;
constexpr std::size_t names_buffers_bytes = 12 << 20;
constexpr std::uint64_t names_wal_bytes_max = 32 << 20;
constexpr int open_name_files_max = 128;
constexpr std::string_view format = "2";
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
  options.create_missing_column_families = true;
  options.db_write_buffer_size = names_buffers_bytes;
  options.max_total_wal_size = names_wal_bytes_max;
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
  options.write_buffer_size = names_buffer_bytes;
  options.compression = rocksdb::kLZ4Compression;
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

/// Another format is not supported, or has families that we do not name. Other invalid arguments
/// may come of files that could not be opened now.
tl::unexpected<Error> names_open_failure(const std::filesystem::path& folder,
                                         const rocksdb::Status& status) {
  auto error = catalogue_failure("open " + folder.string(), status);
  const bool has_more = status.IsInvalidArgument() &&
                        status.ToString().find("Column families not opened") != std::string::npos;
  if (has_more || status.IsNotSupported()) error.value().code = Errc::corrupt;
  return error;
}

/// RocksDB takes a list of files that it may not look at for none, and would begin another.
Result<bool> has_list_of_files(const std::filesystem::path& folder) {
  std::error_code error;
  const auto type = std::filesystem::status(folder / "CURRENT", error).type();
  if (type == std::filesystem::file_type::not_found) return false;
  if (!error) return true;
  return fail(Errc::io, "catalogue: cannot look at " + folder.string() + ": " + error.message());
}

}  // namespace

tl::unexpected<Error> catalogue_failure(std::string_view doing, const rocksdb::Status& status) {
  const bool is_damaged = status.IsCorruption() || status.IsPathNotFound();
  const auto code = is_damaged ? Errc::corrupt : status.IsNoSpace() ? Errc::full : Errc::io;
  return fail(code, "catalogue: cannot " + std::string(doing) + ": " + status.ToString());
}

Result<std::unique_ptr<NameDatabase>> NameDatabase::open(const std::filesystem::path& folder,
                                                         rocksdb::Env* env) {
  if (auto made = make_folders(folder); !made) return fail(std::move(made.error()));
  const auto cache = rocksdb::NewLRUCache(names_cache_bytes);
  const std::vector<rocksdb::ColumnFamilyDescriptor> families{
      {rocksdb::kDefaultColumnFamilyName, family_options(cache, false)},
      {"names", family_options(cache, false)},
      {"objects", family_options(cache, true)},
      {"events", family_options(cache, false)}};
  const auto there = has_list_of_files(folder);
  if (!there) return fail(there.error());
  auto options = db_options(env);
  options.create_if_missing = !*there;
  auto opened = std::make_unique<NameDatabase>();
  rocksdb::DB* db = nullptr;
  const auto status = rocksdb::DB::Open(options, folder.string(), families, &opened->families, &db);
  opened->db.reset(db);
  if (!status.ok()) return names_open_failure(folder, status);
  opened->notes = opened->families[0];
  opened->names = opened->families[1];
  opened->objects = opened->families[2];
  opened->events = opened->families[3];
  if (auto known = opened->check_format(); !known) return fail(std::move(known.error()));
  return opened;
}

Status NameDatabase::check_format() {
  std::string found;
  const Slice key(format_note);
  const auto status = db->Get(rocksdb::ReadOptions(), notes, key, &found);
  if (status.IsNotFound()) {
    const auto written = db->Put(rocksdb::WriteOptions(), notes, key, Slice(format));
    if (!written.ok()) return catalogue_failure("write", written);
    return {};
  }
  if (!status.ok()) return catalogue_failure("read its format", status);
  if (found != format) return fail(Errc::corrupt, "catalogue: of another format");
  return {};
}

}  // namespace zerodb
