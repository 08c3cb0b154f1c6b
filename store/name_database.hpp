#pragma once
// The RocksDB behind an owner's names: its settings, families and format. Private to store/: only
// .cpp files that speak RocksDB include it. Thread-safe once open.

#include <rocksdb/db.h>

#include <filesystem>
#include <memory>
#include <vector>

#include "store/bytes.hpp"

namespace zerodb {

inline rocksdb::Slice slice_of(ByteView bytes) {
  return {as_text(bytes).data(), bytes.size()};
}
inline ByteView bytes_of(const rocksdb::Slice& slice) {
  return as_bytes({slice.data(), slice.size()});
}

/// What RocksDB said, as an error of ours.
tl::unexpected<Error> catalogue_failure(std::string_view doing, const rocksdb::Status& status);

/// An open database. The environment outlives it.
struct NameDatabase {
  static Result<std::unique_ptr<NameDatabase>> open(const std::filesystem::path& folder,
                                                    rocksdb::Env* env);
  NameDatabase() = default;
  NameDatabase(const NameDatabase&) = delete;
  NameDatabase& operator=(const NameDatabase&) = delete;
  ~NameDatabase() {
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
  rocksdb::ColumnFamilyHandle* events = nullptr;   ///< sequence number -> event
};

}  // namespace zerodb
