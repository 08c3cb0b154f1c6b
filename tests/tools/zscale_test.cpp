#include "tools/zscale_model.hpp"

#include <catch2/catch.hpp>

using namespace zerodb::scale;

TEST_CASE("zscale: without zones, only what is placed on the node that comes or goes moves",
          "[tools]") {
  const auto load = draw_load(20'000, 1);
  CHECK(load.total.objects == 20'000);
  const MeshSpec spec{.nodes = 10};
  const auto join = measure_join(load, spec);
  CHECK(join.bytes == Approx(join.least_bytes));
  CHECK(join.bytes > 0);
  const auto leave = measure_leave(load, spec);
  CHECK(leave.bytes == Approx(leave.least_bytes));
  CHECK(leave.ideal_bytes == Approx(static_cast<double>(load.total.bytes) * 3 / 10));
}

TEST_CASE("zscale: with zones enough, no partition is twice in one", "[tools]") {
  const auto zoned = make_roster({.nodes = 12, .zones = 4});
  CHECK(count_zone_conflicts(zoned, zerodb::Placement(zoned)) == 0);
  const auto cramped = make_roster({.nodes = 12, .zones = 2});
  CHECK(count_zone_conflicts(cramped, zerodb::Placement(cramped)) == zerodb::partition_count);
}

TEST_CASE("zscale: the fullest node is found", "[tools]") {
  const auto load = draw_load(50'000, 1);
  const auto roster = make_roster({.nodes = 10});
  const auto balance = measure_balance(load, roster, zerodb::Placement(roster));
  CHECK(balance.objects_max_to_mean > 1.0);
  CHECK(balance.objects_max_to_mean < 1.25);
  CHECK(balance.bytes_max_to_mean >= 1.0);
}
