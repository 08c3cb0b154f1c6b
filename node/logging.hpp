#pragma once
// Log lines go to stderr through spdlog's default logger: "time level message", or one JSON object
// a line. Never log a secret, a name of an object, or content. Thread-safe once set up.

#include <string>

#include "store/result.hpp"

namespace zerodb {

struct LogOptions {
  std::string level = "info";  ///< trace, debug, info, warn, error, off
  bool json = false;
};

/// `invalid`, naming the levels there are.
Status check_log_level(std::string_view level);

/// Call once, before other threads start.
Status set_up_logging(const LogOptions& options);

/// `text` as the inside of a JSON string.
std::string json_escaped(std::string_view text);

}  // namespace zerodb
