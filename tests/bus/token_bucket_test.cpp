#include "bus/token_bucket.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;
using namespace std::chrono_literals;

namespace {

const TokenBucket::Clock::time_point start{1000s};

}  // namespace

TEST_CASE("token bucket: a second's worth passes at once, then as many a second", "[bus]") {
  TokenBucket bucket(10);
  for (int i = 0; i < 11; ++i) {
    CHECK(bucket.pause(start) == 0s);
    bucket.take(1, start);
  }
  CHECK(bucket.pause(start) == 100ms);
  CHECK(bucket.pause(start + 60ms) == 40ms);
  CHECK(bucket.pause(start + 100ms) == 0s);
  bucket.take(1, start + 100ms);
  CHECK(bucket.pause(start + 100ms) == 100ms);
}

TEST_CASE("token bucket: what is larger than a second's worth passes, and is waited for", "[bus]") {
  TokenBucket bucket(100);
  bucket.take(1000, start);
  CHECK(bucket.pause(start) == 9s);
  CHECK_FALSE(bucket.is_full(start + 9s));
  CHECK(bucket.is_full(start + 10s));
}

TEST_CASE("token bucket: nothing is saved up beyond a second", "[bus]") {
  TokenBucket bucket(10);
  bucket.take(1, start);
  const auto later = start + 3600s;
  for (int i = 0; i < 11; ++i)
    bucket.take(1, later);
  CHECK(bucket.pause(later) == 100ms);
}

TEST_CASE("token bucket: without a limit nothing waits", "[bus]") {
  TokenBucket bucket(0);
  bucket.take(1ULL << 60, start);
  CHECK(bucket.pause(start) == 0s);
  CHECK(bucket.is_full(start));
}
