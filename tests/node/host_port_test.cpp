#include "node/host_port.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;

TEST_CASE("host_port: names, IPv4, IPv6 and wildcards are understood", "[node]") {
  CHECK(parse_host_port("127.0.0.1:7710")->endpoint() == "tcp://127.0.0.1:7710");
  CHECK(parse_host_port("my-host.example:0")->port == 0);
  CHECK(parse_host_port("[::1]:65535")->host == "[::1]");
  CHECK(parse_host_port("*:1")->is_wildcard());
  CHECK(parse_host_port("0.0.0.0:1")->is_wildcard());
  CHECK(parse_host_port("[::]:1")->is_wildcard());
  CHECK_FALSE(parse_host_port("[::1]:1")->is_wildcard());
}

TEST_CASE("host_port: anything else is named and refused", "[node]") {
  for (const auto* text : {"", "host", "host:", ":1", "host:65536", "host:-1", "host:1x", "host: 1",
                           "::1:7710", "ho st:1", "[]:1", "a/b:1", "eth0;host:1", "host\n:1"}) {
    CAPTURE(text);
    const auto parsed = parse_host_port(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Errc::invalid);
    CHECK(parsed.error().what.starts_with("address '"));
  }
  CHECK_FALSE(parse_host_port(std::string(260, 'a') + ":1"));
}

TEST_CASE("host_port: an endpoint must be one that others can dial", "[node]") {
  CHECK(parse_endpoint("tcp://127.0.0.1:7710"));
  for (const auto* text : {"127.0.0.1:7710", "ipc:///tmp/x", "tcp://*:1", "tcp://0.0.0.0:1",
                           "tcp://host:0", "tcp://", "tcp://host"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_endpoint(text));
  }
}

TEST_CASE("host_port: the announced host takes the place of the one listened on", "[node]") {
  CHECK(with_host("tcp://0.0.0.0:7710", "node1.example") == "tcp://node1.example:7710");
  CHECK(with_host("tcp://[::]:1", "[fd00::1]") == "tcp://[fd00::1]:1");
}
