#include "tools/zdb_session.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <utility>

#include "store/keys.hpp"
#include "tools/terminal.hpp"
#include "tools/zdb_print.hpp"

namespace zerodb::tools {

namespace {

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names)
    text += (text.empty() ? "" : ", ") + printable(name);
  return text;
}

}  // namespace

Result<BusClient> Session::dial() {
  if (!arguments_.remote) return BusClient::connect(arguments_.node);
  return BusClient::connect(*arguments_.remote, {.on_interruption = [this] { interrupted(); }});
}

std::optional<BusClient> Session::connect() {
  auto client = dial();
  if (client) return std::move(*client);
  const auto& error = client.error();
  const bool unreachable = error.code == Errc::io;
  failed("", error.what, unreachable ? ExitCode::unreachable : exit_code_of(error.code));
  const std::lock_guard lock(mutex_);
  node_lost_ = node_lost_ || unreachable;
  return {};
}

void Session::failed(std::string_view subject, const Error& error) {
  failed(subject, error.what, exit_code_of(error.code));
}

void Session::failed(std::string_view subject, const Error& error, const BusClient& client) {
  if (!client.lost()) return failed(subject, error);
  failed(subject, error.what, ExitCode::unreachable);
  const std::lock_guard lock(mutex_);
  node_lost_ = true;
}

void Session::failed(std::string_view subject, const std::string& what, ExitCode code) {
  const auto name = printable(subject);
  const bool named = name.empty() || what.starts_with(name + ":") ||
                     what.find("'" + name + "'") != std::string::npos;
  const std::lock_guard lock(mutex_);
  if (exit_code_ == ExitCode::done) exit_code_ = code;
  write(named ? "zdb: " + what : "zdb: " + name + ": " + what);
}

void Session::warn(const std::string& what) {
  const std::lock_guard lock(mutex_);
  write("zdb: warning: " + what);
}

void Session::tell(const std::string& what) {
  if (arguments_.quiet || !is_terminal(STDERR_FILENO)) return;
  const std::lock_guard lock(mutex_);
  write(what);
}

/// Once for all connections that break at about the same time.
void Session::interrupted() {
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    if (now < std::exchange(interrupted_, now) + std::chrono::seconds(1)) return;
  }
  tell("the connection was lost; trying for a minute to go on");
}

void Session::summarize(const std::string& what) {
  if (arguments_.quiet) return;
  const std::lock_guard lock(mutex_);
  write(what);
}

void Session::check_copies(const std::string& key, const client::Stored& stored) {
  if (stored.missing.empty() || stored.copies >= stored.wanted) return;
  warn(fmt::format("{} is on {} of {} nodes; {} {} behind and will catch up", printable(key),
                   stored.copies, stored.wanted, joined(stored.missing),
                   stored.missing.size() == 1 ? "is" : "are"));
}

void Session::use(Progress* progress) {
  const std::lock_guard lock(mutex_);
  if (progress_ != nullptr) progress_->hide();
  progress_ = progress;
}

bool Session::shows_progress() const {
  return !arguments_.quiet && is_terminal(STDERR_FILENO);
}

bool Session::node_lost() const {
  const std::lock_guard lock(mutex_);
  return node_lost_;
}

ExitCode Session::exit_code() const {
  const std::lock_guard lock(mutex_);
  return exit_code_;
}

void Session::write(const std::string& line) {
  if (progress_ != nullptr) progress_->hide();
  print_error("{}\n", line);
}

bool check_key(Session& session, const std::string& key) {
  const auto checked = check_name(key);
  if (!checked) session.failed("", checked.error().what, ExitCode::usage);
  return checked.has_value();
}

std::string shown(const std::string& name, int descriptor) {
  return is_terminal(descriptor) ? printable(name) : name;
}

}  // namespace zerodb::tools
