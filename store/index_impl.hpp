#pragma once
// What opening an index and using it share. Private to store/index*.cpp. Thread-safe, once opened.

#include <rocksdb/db.h>

#include <memory>
#include <string_view>
#include <vector>

#include "store/index.hpp"

namespace zerodb {

/// `corrupt` for what is damaged or lost, `not_found`, `full`, or `io`.
tl::unexpected<Error> index_failure(std::string_view doing, const rocksdb::Status& status);
/// The same, but what the disk cannot read any more is `corrupt`, as what fails its checksum is.
tl::unexpected<Error> index_read_failure(std::string_view doing, const rocksdb::Status& status);

/// The same of what writes, which fails, too, for what a compaction before could not read.
tl::unexpected<Error> index_write_failure(std::string_view doing, const rocksdb::Status& status);

/// The same for every writer, so that their fsyncs are shared.
rocksdb::WriteOptions durable_write();

/// An open index. One of its families is null if all that it held is lost.
struct Index::Impl {
  std::unique_ptr<rocksdb::DB> db;
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  rocksdb::ColumnFamilyHandle* by_version = nullptr;
  rocksdb::ColumnFamilyHandle* by_blob = nullptr;
  rocksdb::ColumnFamilyHandle* by_supersession = nullptr;
  rocksdb::ColumnFamilyHandle* by_damage = nullptr;

  Impl() = default;
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  // Opening.
  using Families = std::vector<rocksdb::ColumnFamilyDescriptor>;
  rocksdb::Status open(const rocksdb::DBOptions& options, const std::string& folder,
                       const Families& wanted);
  rocksdb::Status open_for_reading(const std::string& folder, const Families& wanted);
  void name_families();
  /// One of each family, with nothing in it but that a key that never was is gone.
  Status make_empty_tables() const;

  // Using. Templates are defined in index.cpp, which alone calls them.
  std::unique_ptr<rocksdb::Iterator> iterate(const rocksdb::ReadOptions& options) const;
  rocksdb::Status write(rocksdb::WriteBatch& batch) const;
  /// Visits the versions of an object, latest first, until `visit` answers true.
  template <class Visit>
  Status walk(const ObjectId& object, Visit visit) const;
  /// The latest version of an object whose encoded value is `wanted`.
  template <class Wanted>
  Result<std::optional<SignedManifest>> latest_that(const ObjectId& object, Wanted wanted) const;
};

}  // namespace zerodb
