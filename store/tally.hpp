#pragma once
// Running sums over what a store keeps: a digest and counts of the latest versions per partition,
// and how much is superseded.
// Thread-safe.

#include <mutex>
#include <vector>

#include "store/store.hpp"

namespace zerodb {

/// One latest version, as far as sums need it.
struct Counted {
  Entry entry;
  bool tombstone = false;
  std::uint64_t sealed_bytes = 0;
};
Counted counted(const SignedManifest& manifest);

/// An unsigned number modulo 2^128.
struct Sum128 {
  std::uint64_t high = 0;
  std::uint64_t low = 0;

  static Sum128 from(ByteView bytes);  ///< of the first 16 bytes, big-endian
  PartitionDigest bytes() const;
  Sum128& operator+=(const Sum128& other);
  Sum128& operator-=(const Sum128& other);
};

/// What an entry adds to its partition's digest.
Sum128 digest_of(const Entry& entry);

class Tally {
 public:
  struct Counts {
    std::uint64_t objects = 0;
    std::uint64_t tombstones = 0;
    std::uint64_t blob_bytes = 0;
  };
  /// Versions that a later one took the place of.
  struct Superseded {
    std::uint64_t versions = 0;
    std::uint64_t bytes = 0;  ///< sealed
    Superseded& operator+=(const Superseded& other);
    Superseded& operator-=(const Superseded& other);
  };

  Tally() : sums_(partition_count), sizes_(partition_count) {}

  void clear();
  void add(const Counted& latest) { replace(nullptr, latest); }
  void add(const Superseded& kept);
  /// `latest` stands where `before` stood (nothing if null), which is superseded now, unless it is
  /// the same.
  void replace(const Counted* before, const Counted& latest);
  /// `latest` stands no more, and nothing else does.
  void remove(const Counted& latest);
  void remove(const Superseded& dropped);

  std::vector<PartitionDigest> digests() const;
  std::vector<PartitionSize> sizes() const;
  Counts counts() const;
  Superseded superseded() const;

 private:
  mutable std::mutex mutex_;
  void count_in(const Counted& latest, const Sum128& digest);
  void count_out(const Counted& before, const Sum128& digest);

  std::vector<Sum128> sums_;
  std::vector<PartitionSize> sizes_;
  Superseded superseded_;
};

}  // namespace zerodb
