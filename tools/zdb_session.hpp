#pragma once
// What every verb of zdb shares: its arguments, the connection, the messages to the person, and
// the exit code. The report is thread-safe; connections belong to one thread each.

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "bus/client.hpp"
#include "tools/progress.hpp"
#include "tools/zdb_arguments.hpp"

namespace zerodb::tools {

class Session {
 public:
  explicit Session(const Arguments& arguments) : arguments_(arguments) {}

  const Arguments& arguments() const { return arguments_; }

  /// Nothing when no node answers, which has been reported then.
  std::optional<BusClient> connect();

  /// The same, without a word about what fails.
  Result<BusClient> dial();

  /// Writes "zdb: SUBJECT: WHAT" to stderr and remembers the code; the first failure's stands.
  void failed(std::string_view subject, const Error& error);
  void failed(std::string_view subject, const std::string& what, ExitCode code);
  /// The same for a call on `client`, which may have failed because the node is gone.
  void failed(std::string_view subject, const Error& error, const BusClient& client);

  void warn(const std::string& what);
  /// For people at a terminal: not with --quiet, not into a pipe.
  void tell(const std::string& what);
  /// For the end of long work: not with --quiet.
  void summarize(const std::string& what);

  /// Where fewer nodes have the object than should: says so.
  void check_copies(const std::string& key, const client::Stored& stored);

  /// Shown from now on above the messages; null to end that.
  void use(Progress* progress);
  bool shows_progress() const;

  /// True once the node is gone: there is no use in going on.
  bool node_lost() const;
  ExitCode exit_code() const;

 private:
  void write(const std::string& line);
  void interrupted();

  const Arguments& arguments_;
  mutable std::mutex mutex_;
  ExitCode exit_code_ = ExitCode::done;
  bool node_lost_ = false;
  Progress* progress_ = nullptr;
  std::chrono::steady_clock::time_point interrupted_;  ///< when a connection broke last
};

/// True if the key may be; otherwise reported, with exit code 2.
bool check_key(Session& session, const std::string& key);

/// A name as it may be shown: escaped on a terminal, as it is in a pipe.
std::string shown(const std::string& name, int descriptor);

}  // namespace zerodb::tools
