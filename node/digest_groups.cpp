#include "node/digest_groups.hpp"

#include <algorithm>
#include <bit>
#include <span>

#include "store/tally.hpp"

namespace zerodb {

namespace {

constexpr std::size_t group_size = partition_count / digest_groups;
constexpr std::size_t group_bytes = group_size * sizeof(PartitionDigest);
constexpr std::size_t mask_bytes = 8;
static_assert(partition_count % digest_groups == 0 && digest_groups == mask_bytes * 8);

std::span<const PartitionDigest> group_of(const std::vector<PartitionDigest>& digests,
                                          std::size_t group) {
  return std::span(digests).subspan(group * group_size, group_size);
}

}  // namespace

Bytes sum_groups(const std::vector<PartitionDigest>& digests) {
  Bytes sums;
  sums.reserve(group_sums_bytes);
  for (std::size_t group = 0; group < digest_groups; ++group) {
    Sum128 sum;
    for (const auto& digest : group_of(digests, group))
      sum += Sum128::from(digest);
    const auto bytes = sum.bytes();
    sums.insert(sums.end(), bytes.begin(), bytes.end());
  }
  return sums;
}

Bytes encode_differing(const std::vector<PartitionDigest>& digests, ByteView known_sums) {
  const auto sums = sum_groups(digests);
  std::uint64_t mask = 0;
  Bytes out(mask_bytes);
  for (std::size_t group = 0; group < digest_groups; ++group) {
    constexpr auto size = sizeof(PartitionDigest);
    const auto sum = ByteView(sums).subspan(group * size, size);
    if (std::ranges::equal(sum, known_sums.subspan(group * size, size))) continue;
    mask |= std::uint64_t{1} << group;
    for (const auto& digest : group_of(digests, group))
      out.insert(out.end(), digest.begin(), digest.end());
  }
  put_u64(MutableBytes(out).first(mask_bytes), mask);
  return out;
}

Result<std::vector<PartitionDigest>> apply_differing(std::vector<PartitionDigest> known,
                                                     ByteView payload) {
  const auto wrong = [&] {
    return fail(Errc::invalid, "digests that differ: " + std::to_string(payload.size()) +
                                   " bytes are not a mask and the groups in it");
  };
  if (payload.size() < mask_bytes) return wrong();
  const auto mask = get_u64(payload.first(mask_bytes));
  auto rest = payload.subspan(mask_bytes);
  if (rest.size() != static_cast<std::size_t>(std::popcount(mask)) * group_bytes) return wrong();
  known.resize(partition_count);
  for (std::size_t i = 0; i < partition_count; ++i) {
    if ((mask >> (i / group_size) & 1) == 0) continue;
    std::copy_n(rest.begin(), known[i].size(), known[i].begin());
    rest = rest.subspan(known[i].size());
  }
  return known;
}

}  // namespace zerodb
