#include "bus/ban_list.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;
using namespace std::chrono_literals;

namespace {

const BanList::Clock::time_point dawn{1000s};
const auto somebody = NodeId::from(Bytes(NodeId::size, 1)).value();
const auto another = NodeId::from(Bytes(NodeId::size, 2)).value();

/// As many as it takes, at once.
void provoke(BanList& bans, BanList::Clock::time_point now) {
  while (!bans.on_offence(somebody, now)) {
  }
}

}  // namespace

TEST_CASE("ban list: a few offences a second are borne with, for ever", "[bus]") {
  BanList bans(10, 5s);
  auto now = dawn;
  for (int i = 0; i < 100; ++i, now += 100ms)
    CHECK_FALSE(bans.on_offence(somebody, now));
  CHECK_FALSE(bans.has(somebody, now));
}

TEST_CASE("ban list: one too many, and the peer is banned for a while, alone", "[bus]") {
  BanList bans(10, 5s);
  for (int i = 0; i <= 10; ++i) {
    CHECK_FALSE(bans.on_offence(somebody, dawn));
    CHECK_FALSE(bans.has(somebody, dawn));
  }
  CHECK(bans.on_offence(somebody, dawn));
  CHECK(bans.has(somebody, dawn));
  CHECK_FALSE(bans.has(another, dawn));
  CHECK_FALSE(bans.on_offence(another, dawn));
  CHECK(bans.has(somebody, dawn + 4999ms));
  CHECK_FALSE(bans.has(somebody, dawn + 5s));
}

TEST_CASE("ban list: each connection is closed once in a ban", "[bus]") {
  BanList bans(10, 5s);
  provoke(bans, dawn);
  CHECK(bans.is_first_from(somebody, "a", 7));
  CHECK_FALSE(bans.is_first_from(somebody, "a", 7));
  CHECK(bans.is_first_from(somebody, "b", 8));
  CHECK(bans.is_first_from(somebody, "a", 9));  // which took the first one's place
  CHECK_FALSE(bans.is_first_from(another, "a", 7));
  provoke(bans, dawn + 10s);
  CHECK(bans.is_first_from(somebody, "a", 7));
}

TEST_CASE("ban list: what a peer did before it was let in is forgiven", "[bus]") {
  BanList bans(10, 5s);
  provoke(bans, dawn);
  bans.forgive(somebody);
  CHECK_FALSE(bans.has(somebody, dawn));
  CHECK_FALSE(bans.on_offence(somebody, dawn));
}
