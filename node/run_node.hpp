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
  std::function<void(DaemonSpec&)> adjust;  ///< what the folder says; nothing: it is right as it is
};

/// Serves until SIGINT or SIGTERM. Prints "ready NAME ENDPOINT SOCKET [CLIENT_ENDPOINT]" to
/// stdout once it does.
Status run_node(const RunOptions& options);

}  // namespace zerodb
