// The gateway when its clock, or another node's, is wrong.
#include <catch2/catch.hpp>

#include "tests/node/gateway_mesh.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

constexpr std::int64_t hour_ms = 3'600'000;

}  // namespace

TEST_CASE("gateway: a clock that is an hour behind still writes", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(1, "late", pattern(10, 1)).has_value());
  mesh.mesh[0].runtime.set_clock_skew(-hour_ms);
  REQUIRE(mesh.put(0, "late", pattern(10, 2)).has_value());
  CHECK(mesh.get(2, "late") == pattern(10, 2));
  REQUIRE(mesh.remove(0, "late").has_value());
  CHECK(mesh.error_of_get(1, "late") == Errc::not_found);
}

TEST_CASE("gateway: a clock that is an hour ahead is named, and harms nothing", "[gateway]") {
  GatewayMesh mesh(3);
  mesh.mesh[0].runtime.set_clock_skew(hour_ms);
  for (const std::size_t size : {std::size_t{10}, 2 * mib}) {
    const auto put = mesh.put(0, "early", pattern(size));
    REQUIRE_FALSE(put.has_value());
    CHECK(put.error().code == Errc::invalid);
    CHECK(put.error().what.find("clock") != std::string::npos);
  }
  CHECK_FALSE(mesh.kept(0, "early").has_value());
  mesh.mesh[0].runtime.set_clock_skew(0);
  REQUIRE(mesh.put(0, "early", pattern(7)).has_value());
  CHECK(mesh.get(1, "early") == pattern(7));
}

TEST_CASE("gateway: a clock that was confirmed and then set ahead harms nothing", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "before", pattern(10)));
  mesh.gateways[0].on_peer_time(mesh.mesh[1].runtime.now_ms());
  mesh.mesh[0].runtime.set_clock_skew(hour_ms);
  CHECK_FALSE(mesh.put(0, "early", pattern(10)));
  CHECK_FALSE(mesh.kept(0, "early"));
  mesh.mesh[0].runtime.set_clock_skew(0);
  REQUIRE(mesh.put(0, "early", pattern(7)));
  CHECK(mesh.get(1, "early") == pattern(7));
}

TEST_CASE("gateway: a version in the future holds up writes of its object, and of no other",
          "[gateway]") {
  const auto size = GENERATE(std::size_t{10}, 2 * mib);
  GatewayMesh mesh(3);
  const auto set_clocks = [&](std::int64_t ahead_ms) {
    for (std::size_t node = 0; node < 3; ++node)
      mesh.mesh[node].runtime.set_clock_skew(ahead_ms);
  };
  set_clocks(hour_ms);
  REQUIRE(mesh.put(0, "future", pattern(size, 1)));
  REQUIRE(mesh.mesh.run_until_quiet());
  set_clocks(0);
  for (std::size_t from = 0; from < 3; ++from) {
    CHECK_FALSE(mesh.put(from, "future", pattern(size, 2)));
    CHECK_FALSE(mesh.remove(from, "future"));
    const auto name = "another" + std::to_string(from);
    const auto receipt = mesh.put(from, name, pattern(size));
    REQUIRE(receipt);
    CHECK(receipt->version.ms() < mesh.mesh[from].runtime.now_ms() + 5'000);
    CHECK(mesh.get(from, "future") == pattern(size, 1));
  }
  set_clocks(hour_ms);
  REQUIRE(mesh.put(0, "future", pattern(size, 3)));
  CHECK(mesh.get(1, "future") == pattern(size, 3));
}

TEST_CASE("gateway: a version that a node keeps is not refused for a clock", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "kept", pattern(10, 1)).has_value());
  mesh.mesh.down(2);
  mesh.mesh[1].runtime.set_clock_skew(-hour_ms);
  const auto put = mesh.put(0, "kept", pattern(10, 2));
  REQUIRE_FALSE(put.has_value());
  CHECK(put.error().code == Errc::no_quorum);
  CHECK(put.error().what.find("clock") != std::string::npos);
  REQUIRE(mesh.kept(0, "kept").has_value());
}
