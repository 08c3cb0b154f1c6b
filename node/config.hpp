#pragma once
// The settings of one node, kept in DIR/config.toml. `init` writes them all, with comments; a line
// that is missing has its default; one that is unknown or out of range is an error that names it.
// Values; thread-safe.

#include <cstdint>
#include <filesystem>
#include <string>

#include "store/result.hpp"

namespace zerodb {

struct Config {
  std::string listen = "127.0.0.1:7710";
  std::string broadcast_listen;  ///< empty: the port after listen's, or any free one
  std::string advertise;         ///< host announced to the others; empty: listen's
  std::string client_listen;     ///< for clients over the network; empty: none are served
  std::uint32_t data_lanes = 2;
  std::uint32_t io_threads = 0;  ///< 0: as many as suit the machine
  std::uint32_t disk_threads = 16;
  std::uint32_t ping_interval_ms = 1000;
  std::uint32_t down_after_ms = 4000;
  std::uint32_t reconcile_interval_s = 600;
  std::uint32_t superseded_keep_s = 600;
  std::uint64_t move_rate_max = 0;  ///< bytes a second; 0: no limit
  std::uint32_t scrub_days = 14;
  std::uint64_t scrub_bytes_per_s = 1ULL << 20;
  std::uint64_t reserve_bytes = 64ULL << 20;
  std::uint64_t index_cache_bytes = 64ULL << 20;
  std::uint64_t transfer_credit_bytes = 8ULL << 20;
  std::uint32_t events_keep_days = 7;
  std::uint32_t events_max = 1'000'000;
  std::uint32_t client_requests_per_s = 2000;       ///< of one remote client; 0: no limit
  std::uint64_t client_bytes_per_s = 256ULL << 20;  ///< likewise
  std::string log_level = "info";
  bool log_json = false;
};

/// The content of a config.toml with every setting, commented.
std::string config_text(const Config& config);

/// `invalid`, naming the line and the setting. Checks the result, too.
Result<Config> parse_config(std::string_view text);
Result<Config> load_config(const std::filesystem::path& path);

/// `invalid`, naming the setting, unless each is in its range and they go together: times in order,
/// an address that can be announced.
Status check_config(const Config& config);

/// "64MiB", "1GiB", "4096": bytes.
Result<std::uint64_t> parse_size(std::string_view text);
std::string size_text(std::uint64_t bytes);

}  // namespace zerodb
