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

Sum128 digest_of(const Entry& entry) {
  std::array<std::uint8_t, 8> version{};
  put_u64(version, entry.version.value);
  const auto hash = blake2b_256(
      "zerodb entry",
      {entry.object.owner.view(), entry.object.hashed_key.view(), version, entry.hash.view()});
  return Sum128::from(hash);
}

void Tally::replace(const Counted* before, const Counted& latest) {
  const auto sum = digest_of(latest.entry);
  const std::lock_guard guard(mutex_);
  auto& total = sums_[partition_of(latest.entry.object.hashed_key)];
  if (before != nullptr) {
    total -= digest_of(before->entry);
    --(before->tombstone ? counts_.tombstones : counts_.objects);
    counts_.blob_bytes -= before->sealed_bytes;
  }
  total += sum;
  ++(latest.tombstone ? counts_.tombstones : counts_.objects);
  counts_.blob_bytes += latest.sealed_bytes;
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
  return counts_;
}

}  // namespace zerodb
