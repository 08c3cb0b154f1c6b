#include "node/digest_groups.hpp"

#include <catch2/catch.hpp>

#include "store/hash.hpp"
#include "store/tally.hpp"

using namespace zerodb;

namespace {

constexpr std::size_t group_size = partition_count / digest_groups;

std::vector<PartitionDigest> any_digests() {
  std::vector<PartitionDigest> digests;
  for (std::size_t i = 0; i < partition_count; ++i)
    digests.push_back(Sum128::from(random_id<ManifestHash>().view()).bytes());
  return digests;
}

}  // namespace

TEST_CASE("digest groups: what is known already is not sent", "[node]") {
  const auto theirs = any_digests();
  const auto answer = encode_differing(theirs, sum_groups(theirs));
  CHECK(answer == Bytes(8));
  CHECK(apply_differing(theirs, answer) == theirs);
}

TEST_CASE("digest groups: those that differ are sent, whichever they are", "[node]") {
  const auto theirs = any_digests();
  auto known = theirs;
  const std::vector<std::size_t> differing{0, group_size - 1, 31 * group_size, partition_count - 1};
  for (const auto i : differing)
    known[i] = {};
  const auto answer = encode_differing(theirs, sum_groups(known));
  CHECK(answer.size() == 8 + 3 * group_size * 16);
  CHECK(get_u64(ByteView(answer).first(8)) == (1 | 1ULL << 31 | 1ULL << 63));
  CHECK(apply_differing(known, answer) == theirs);
}

TEST_CASE("digest groups: of whom nothing is known, all is sent", "[node]") {
  const auto theirs = any_digests();
  const std::vector<PartitionDigest> nothing(partition_count);
  const auto answer = encode_differing(theirs, sum_groups(nothing));
  CHECK(apply_differing(nothing, answer) == theirs);
}

TEST_CASE("digest groups: a sum is modulo 2^128", "[node]") {
  std::vector<PartitionDigest> digests(partition_count);
  digests[0].fill(0xff);
  digests[1][15] = 2;
  const auto sums = sum_groups(digests);
  REQUIRE(sums.size() == group_sums_bytes);
  CHECK(get_u64(ByteView(sums).first(8)) == 0);
  CHECK(get_u64(ByteView(sums).subspan(8, 8)) == 1);
  CHECK(sums[16] == 0);
}

TEST_CASE("digest groups: an answer is as long as its mask says", "[node]") {
  const auto theirs = any_digests();
  auto known = theirs;
  known[7] = {};
  auto answer = encode_differing(theirs, sum_groups(known));
  for (const std::size_t size : {std::size_t{0}, std::size_t{7}, std::size_t{8}, answer.size() - 1})
    CHECK_FALSE(apply_differing(known, ByteView(answer).first(size)));
  answer.push_back(0);
  CHECK_FALSE(apply_differing(known, answer));
}
