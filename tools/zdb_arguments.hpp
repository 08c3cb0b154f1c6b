#pragma once
// The command line of zdb, taken apart. Pure but for the environment and what --help prints.

#include <chrono>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus/client.hpp"
#include "bus/exit_code.hpp"

namespace zerodb::tools {

struct Arguments {
  std::string verb;  ///< "put", "get", ... "owner id", "node list", "mesh export" ...
  std::filesystem::path node;
  std::shared_ptr<const ClientCredential> remote;  ///< in place of `node`, if there is one
  bool quiet = false;
  std::vector<std::string> names;  ///< keys, paths and prefixes, as they were given
  bool recursive = false;
  bool json = false;
  bool details = false;
  std::optional<ByteRange> range;
  bool share_owner = false;
  std::chrono::seconds expires{3600};
  bool expires_given = false;
  std::vector<std::string> read;  ///< rights of a client, as beginnings of keys
  std::vector<std::string> write;
  std::vector<std::string> remove;
  bool replace = false;
  bool force = false;
  bool wait = false;
  std::optional<std::string> zone;
  std::optional<std::uint32_t> weight;
  bool now = false;
  bool no_wait = false;
};

/// Either arguments, or the code to exit with: what there was to say has been said.
struct Parsed {
  std::optional<Arguments> arguments;
  ExitCode exit_code = ExitCode::done;
};
Parsed parse_arguments(int argc, const char* const* argv);

}  // namespace zerodb::tools
