#include "node/config.hpp"

#include <catch2/catch.hpp>
#include <fstream>

#include "tests/support/temp_dir.hpp"

using namespace zerodb;

namespace {

std::string problem_of(std::string_view text) {
  const auto config = parse_config(text);
  if (config) return "(accepted)";
  CHECK(config.error().code == Errc::invalid);
  return config.error().what;
}

using Catch::Matchers::Contains;

}  // namespace

TEST_CASE("config: what init writes is what run reads", "[node]") {
  const Config before{.listen = "0.0.0.0:0",
                      .broadcast_listen = "[::1]:9000",
                      .advertise = "node1.example",
                      .client_listen = "[::]:7720",
                      .data_lanes = 3,
                      .io_threads = 4,
                      .disk_threads = 5,
                      .ping_interval_ms = 60,
                      .down_after_ms = 700,
                      .reconcile_interval_s = 8,
                      .superseded_keep_s = 90,
                      .scrub_days = 3,
                      .scrub_bytes_per_s = 5000,
                      .reserve_bytes = (10ULL << 20) + 1,
                      .index_cache_bytes = 3ULL << 20,
                      .transfer_credit_bytes = 1ULL << 30,
                      .client_requests_per_s = 7,
                      .client_bytes_per_s = 5ULL << 20,
                      .log_level = "debug",
                      .log_json = true};
  const auto after = parse_config(config_text(before));
  REQUIRE(after);
  CHECK(after->listen == before.listen);
  CHECK(after->broadcast_listen == before.broadcast_listen);
  CHECK(after->advertise == before.advertise);
  CHECK(after->client_listen == before.client_listen);
  CHECK(after->client_requests_per_s == 7);
  CHECK(after->client_bytes_per_s == before.client_bytes_per_s);
  CHECK(after->data_lanes == 3);
  CHECK(after->io_threads == 4);
  CHECK(after->disk_threads == 5);
  CHECK(after->ping_interval_ms == 60);
  CHECK(after->down_after_ms == 700);
  CHECK(after->reconcile_interval_s == 8);
  CHECK(after->superseded_keep_s == 90);
  CHECK(after->scrub_days == 3);
  CHECK(after->scrub_bytes_per_s == 5000);
  CHECK(after->reserve_bytes == before.reserve_bytes);
  CHECK(after->index_cache_bytes == before.index_cache_bytes);
  CHECK(after->transfer_credit_bytes == before.transfer_credit_bytes);
  CHECK(after->log_level == "debug");
  CHECK(after->log_json);
}

TEST_CASE("config: every setting is written, under a comment, and an empty file means defaults",
          "[node]") {
  const auto text = config_text({});
  for (const auto* key :
       {"listen", "broadcast_listen", "advertise", "data_lanes", "io_threads", "disk_threads",
        "ping_interval_ms", "down_after_ms", "reconcile_interval_s", "superseded_keep_s",
        "scrub_days", "scrub_bytes_per_s", "reserve_bytes", "index_cache_bytes",
        "transfer_credit_bytes", "log_level", "log_json"}) {
    CHECK_THAT(text, Contains("\n" + std::string(key) + " = "));
  }
  const auto defaults = parse_config("");
  REQUIRE(defaults);
  CHECK(config_text(*defaults) == text);
}

TEST_CASE("config: an unknown setting is named with its line", "[node]") {
  const auto problem = problem_of("listen = \"127.0.0.1:0\"\n\nlisten_on = 1\n");
  CHECK_THAT(problem, Contains("line 3: listen_on: unknown setting"));
  CHECK_THAT(problem, Contains("reserve_bytes"));
  CHECK_THAT(problem_of("[listen]\nx = 1\n"), Contains("line 1: listen: a text"));
}

TEST_CASE("config: a value out of range is named with what is allowed", "[node]") {
  CHECK_THAT(problem_of("data_lanes = 0"), Contains("line 1: data_lanes: 0 is out of range: 1 to"));
  CHECK_THAT(problem_of("data_lanes = 4294967297"), Contains("out of range"));
  CHECK_THAT(problem_of("data_lanes = -1"), Contains("whole number"));
  CHECK_THAT(problem_of("data_lanes = 1.5"), Contains("whole number"));
  CHECK_THAT(problem_of("data_lanes = \"2\""), Contains("whole number"));
  CHECK_THAT(problem_of("reserve_bytes = \"1KiB\""), Contains("1KiB is out of range: 1MiB to"));
  CHECK_THAT(problem_of("reserve_bytes = \"lots\""), Contains("'lots' is not a size"));
  CHECK_THAT(problem_of("reserve_bytes = true"), Contains("not a size"));
  CHECK_THAT(problem_of("log_json = 1"), Contains("true or false"));
  CHECK_THAT(problem_of("log_level = \"loud\""), Contains("'loud'"));
  CHECK_THAT(problem_of("listen = \"nowhere\""), Contains("HOST:PORT"));
  CHECK_THAT(problem_of("listen = 7710"), Contains("text in quotes"));
  CHECK_THAT(problem_of("advertise = \"0.0.0.0\""), Contains("dial"));
  CHECK_THAT(problem_of("ping_interval_ms = 5000"), Contains("down_after_ms must be more"));
}

TEST_CASE("config: what is not TOML is named with its line", "[node]") {
  CHECK_THAT(problem_of("listen = \"127.0.0.1:0\"\nlisten = \n"), Contains("line 2"));
  CHECK_THAT(problem_of("log_json = true\nlog_json = true\n"), Contains("line 2"));
  CHECK_THAT(problem_of(std::string("\0\xff\xfe", 3)), Contains("line 1"));
}

TEST_CASE("config: an address that cannot be announced needs another that can", "[node]") {
  CHECK_THAT(problem_of("listen = \"0.0.0.0:7710\""), Contains("set advertise"));
  CHECK_THAT(problem_of("listen = \"*:7710\""), Contains("set advertise"));
  CHECK_THAT(problem_of("listen = \"[::]:7710\""), Contains("set advertise"));
  CHECK(parse_config("listen = \"0.0.0.0:7710\"\nadvertise = \"10.0.0.7\""));
  CHECK(parse_config("listen = \"[::]:7710\"\nadvertise = \"[fd00::1]\""));
}

TEST_CASE("config: the file is named in what went wrong with it", "[node]") {
  const test::TempDir dir;
  const auto missing = load_config(dir / "config.toml");
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::io);
  std::ofstream(dir / "config.toml") << "x = 1\n";
  const auto unknown = load_config(dir / "config.toml");
  REQUIRE_FALSE(unknown);
  CHECK_THAT(unknown.error().what, Contains((dir / "config.toml").string() + ": line 1: x"));
}

TEST_CASE("config: a size is read with its unit, and anything else is refused", "[node]") {
  CHECK(parse_size("4096") == 4096U);
  CHECK(parse_size("64MiB") == 64U << 20);
  CHECK(parse_size("3TiB") == 3ULL << 40);
  for (const auto* text : {"", "MiB", "1MB", "-1", "1.5GiB", "99999999TiB", "1 MiB"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_size(text));
  }
  for (const auto bytes : {0ULL, 1ULL, 1023ULL, 1024ULL, 1536ULL, 5ULL << 30}) {
    CHECK(parse_size(size_text(bytes)) == bytes);
  }
  CHECK(size_text(64 << 20) == "64MiB");
}

TEST_CASE("config: an address for broadcasts that others cannot dial needs one that they can",
          "[node]") {
  const std::string text = "listen = \"192.0.2.10:7710\"\nbroadcast_listen = \"0.0.0.0:7711\"\n";
  CHECK_THAT(problem_of(text), Contains("broadcast_listen") && Contains("set advertise"));
  CHECK(parse_config(text + "advertise = \"here.example\""));
}

TEST_CASE("config: a file that opens and cannot be read is an error that names it", "[node]") {
  const test::TempDir dir;
  const auto loaded = load_config(dir.path());
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().code == Errc::io);
  CHECK_THAT(loaded.error().what, Contains(dir.path().string()));
}

TEST_CASE("config: an address for clients that they cannot dial needs one that they can",
          "[node]") {
  CHECK(parse_config("client_listen = \"127.0.0.1:0\"")->client_listen == "127.0.0.1:0");
  CHECK_THAT(problem_of("client_listen = \"0.0.0.0:7720\""), Contains("set advertise"));
  CHECK(parse_config("client_listen = \"0.0.0.0:7720\"\nadvertise = \"here.example\""));
  CHECK_THAT(problem_of("client_listen = \"nowhere\""), Contains("client_listen"));
}
