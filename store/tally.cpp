#include "store/tally.hpp"

#include "store/blob_format.hpp"
#include "store/hash.hpp"

namespace zerodb {

Counted counted(const SignedManifest& manifest) {
  return {
      .entry = {.object = manifest->object, .version = manifest->version, .hash = manifest.hash()},
      .tombstone = manifest->is_tombstone(),
      .sealed_bytes = blob_format::sealed_bytes_of(manifest.manifest())};
}

Sum128 Sum128::from(ByteView bytes) {
  return {.high = get_u64(bytes.first(8)), .low = get_u64(bytes.subspan(8, 8))};
}

PartitionDigest Sum128::bytes() const {
  PartitionDigest out{};
  put_u64(MutableBytes(out).first(8), high);
  put_u64(MutableBytes(out).subspan(8, 8), low);
  return out;
}

Sum128& Sum128::operator+=(const Sum128& other) {
  low += other.low;
  high += other.high + (low < other.low ? 1 : 0);
  return *this;
}

Sum128& Sum128::operator-=(const Sum128& other) {
  high -= other.high + (low < other.low ? 1 : 0);
  low -= other.low;
  return *this;
}

Tally::Superseded& Tally::Superseded::operator+=(const Superseded& other) {
  versions += other.versions;
  bytes += other.bytes;
  return *this;
}

Tally::Superseded& Tally::Superseded::operator-=(const Superseded& other) {
  versions -= other.versions;
  bytes -= other.bytes;
  return *this;
}

Sum128 digest_of(const Entry& entry) {
  std::array<std::uint8_t, 8> version{};
  put_u64(version, entry.version.value);
  const auto hash = blake2b_256(
      "zerodb entry",
      {entry.object.owner.view(), entry.object.hashed_key.view(), version, entry.hash.view()});
  return Sum128::from(hash);
}

void Tally::clear() {
  const std::lock_guard guard(mutex_);
  sums_.assign(partition_count, {});
  sizes_.assign(partition_count, {});
  superseded_ = {};
}

/// The mutex is held, here and below.
void Tally::count_in(const Counted& latest, const Sum128& digest) {
  const auto partition = partition_of(latest.entry.object.hashed_key);
  sums_[partition] += digest;
  auto& size = sizes_[partition];
  ++(latest.tombstone ? size.tombstones : size.objects);
  size.bytes += latest.sealed_bytes;
}

void Tally::count_out(const Counted& before, const Sum128& digest) {
  const auto partition = partition_of(before.entry.object.hashed_key);
  sums_[partition] -= digest;
  auto& size = sizes_[partition];
  --(before.tombstone ? size.tombstones : size.objects);
  size.bytes -= before.sealed_bytes;
}

void Tally::replace(const Counted* before, const Counted& latest) {
  const auto digest = digest_of(latest.entry);
  const auto digest_before = before != nullptr ? digest_of(before->entry) : Sum128{};
  const std::lock_guard guard(mutex_);
  if (before != nullptr) count_out(*before, digest_before);
  if (before != nullptr && before->entry != latest.entry) {
    superseded_ += {.versions = 1, .bytes = before->sealed_bytes};
  }
  count_in(latest, digest);
}

void Tally::add(const Superseded& kept) {
  const std::lock_guard guard(mutex_);
  superseded_ += kept;
}

void Tally::remove(const Counted& latest) {
  const auto digest = digest_of(latest.entry);
  const std::lock_guard guard(mutex_);
  count_out(latest, digest);
}

void Tally::remove(const Superseded& dropped) {
  const std::lock_guard guard(mutex_);
  superseded_ -= dropped;
}

std::vector<PartitionSize> Tally::sizes() const {
  const std::lock_guard guard(mutex_);
  return sizes_;
}

std::vector<PartitionDigest> Tally::digests() const {
  const std::lock_guard guard(mutex_);
  std::vector<PartitionDigest> digests;
  digests.reserve(sums_.size());
  for (const auto& sum : sums_)
    digests.push_back(sum.bytes());
  return digests;
}

Tally::Counts Tally::counts() const {
  const std::lock_guard guard(mutex_);
  Counts counts;
  for (const auto& size : sizes_) {
    counts.objects += size.objects;
    counts.tombstones += size.tombstones;
    counts.blob_bytes += size.bytes;
  }
  return counts;
}

Tally::Superseded Tally::superseded() const {
  const std::lock_guard guard(mutex_);
  return superseded_;
}

}  // namespace zerodb
