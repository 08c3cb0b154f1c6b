#pragma once
// The command line of zdb, taken apart. Pure but for the environment and what --help prints.

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "bus/client.hpp"
#include "bus/exit_code.hpp"

namespace zerodb::tools {

struct Arguments {
  std::string verb;  ///< "put", "get", ... "owner id", "node list", "mesh export" ...
  std::filesystem::path node;
  bool quiet = false;
  std::vector<std::string> names;  ///< keys, paths and prefixes, as they were given
  bool recursive = false;
  bool json = false;
  bool details = false;
  std::optional<ByteRange> range;
  bool share_owner = false;
  std::chrono::seconds expires{3600};
  bool replace = false;
  bool force = false;
  bool wait = false;
  std::optional<std::string> zone;
  std::optional<std::uint32_t> weight;
  bool now = false;
  bool no_wait = false;
  std::optional<std::string> receipts;  ///< a file
};

/// Either arguments, or the code to exit with: what there was to say has been said.
struct Parsed {
  std::optional<Arguments> arguments;
  ExitCode exit_code = ExitCode::done;
};
Parsed parse_arguments(int argc, const char* const* argv);

}  // namespace zerodb::tools
