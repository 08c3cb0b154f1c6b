#pragma once
// The command line of zdb, taken apart. Pure but for the environment and what --help prints.

#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bus/client.hpp"
#include "bus/exit_code.hpp"

namespace zerodb::tools {

/// Of `zdb watch`.
struct WatchArguments {
  std::optional<std::uint64_t> since;
  std::optional<std::string> durable;
  std::optional<std::string> command;  ///< for each event
  std::optional<std::uint64_t> limit;  ///< of events, then it ends
  bool once = false;                   ///< ends when there are no more for now
  bool json = false;
  bool list = false;                  ///< the durable followers
  std::optional<std::string> forget;  ///< one of them
};

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
  std::string media_type;
  std::map<std::string, std::string> attributes;
  bool if_absent = false;
  std::optional<std::uint64_t> if_version;
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
  WatchArguments watch;
  std::optional<std::string> receipts;  ///< a file
  std::optional<std::string> output;    ///< a file, for a secret
};

/// Either arguments, or the code to exit with: what there was to say has been said.
struct Parsed {
  std::optional<Arguments> arguments;
  ExitCode exit_code = ExitCode::done;
};
Parsed parse_arguments(int argc, const char* const* argv);

}  // namespace zerodb::tools
