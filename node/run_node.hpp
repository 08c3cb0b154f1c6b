#pragma once
// What `zerodb-node run` does: opens a data folder, and serves from it until it is told to stop.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include "node/passphrase.hpp"

namespace zerodb {

struct DaemonSpec;

struct RunOptions {
  std::filesystem::path data;
  std::optional<std::string> log_level;  ///< in place of config.toml's
  bool log_json = false;                 ///< as well as config.toml's
  /// Asked for the owner's passphrase, only if its key is locked.
  std::function<Result<Passphrase>(const std::filesystem::path& key)> passphrase;
  /// Changes what the folder says, before the daemon starts. For tests.
  std::function<void(DaemonSpec&)> adjust;
};

/// Blocks, and serves until SIGINT or SIGTERM; an error if it cannot begin to. Once in a process,
/// as it takes the signals, from its main thread. Prints "ready NAME ENDPOINT SOCKET
/// [CLIENT_ENDPOINT]" to stdout once it does.
Status run_node(const RunOptions& options);

}  // namespace zerodb
