#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "bus/event_follower.hpp"
#include "tools/terminal.hpp"
#include "tools/unfinished_files.hpp"
#include "tools/zdb_json.hpp"
#include "tools/zdb_print.hpp"
#include "tools/zdb_verbs.hpp"

namespace zerodb::tools {

namespace {

constexpr std::uint32_t poll_ms = 30'000;
constexpr std::uint64_t page_max = 1'000;

// ------------------------------------------------------------------------------------ being ended

/// While nothing is under way that SIGINT or SIGTERM may not cut short, they end the process at
/// once: the node keeps what was acknowledged, and nothing else is to be saved.
volatile std::sig_atomic_t in_the_middle = 0;
volatile std::sig_atomic_t asked_to_end = 0;

extern "C" void on_end_signal(int) {
  if (in_the_middle == 0) ::_exit(static_cast<int>(ExitCode::done));
  asked_to_end = 1;
}

void watch_for_end_signals() {
  struct sigaction action {};
  action.sa_handler = on_end_signal;
  for (const int signal : {SIGINT, SIGTERM}) {
    if (!is_ignored(signal)) ::sigaction(signal, &action, nullptr);
  }
}

/// Holds the end up until an event is printed, handled and acknowledged.
class Middle {
 public:
  Middle() { in_the_middle = 1; }
  ~Middle() { in_the_middle = 0; }
  Middle(const Middle&) = delete;
  Middle& operator=(const Middle&) = delete;
};

// ---------------------------------------------------------------------------------------- commands

/// What the event says, and what else is in the environment of this process: that by which a zdb
/// finds its node, too.
std::vector<std::string> environment_of(const client::Event& event) {
  std::vector<std::string> all{"ZERODB_KEY=" + event.key, "ZERODB_EVENT=" + event.kind,
                               "ZERODB_VERSION=" + std::to_string(event.version),
                               "ZERODB_SEQUENCE=" + std::to_string(event.sequence),
                               "ZERODB_SIZE=" + std::to_string(event.size)};
  const auto own = all;
  for (char** one = environ; *one != nullptr; ++one) {
    const std::string_view text(*one);
    const auto name = text.substr(0, text.find('=') + 1);
    const bool is_of_event =
        std::ranges::any_of(own, [&](const std::string& set) { return set.starts_with(name); });
    if (name.empty() || !is_of_event) all.emplace_back(text);
  }
  return all;
}

/// Runs in the child, between fork and exec.
[[noreturn]] void run_shell(const char* command, char* const* environment) {
  ::execle("/bin/sh", "sh", "-c", command, static_cast<char*>(nullptr), environment);
  ::_exit(127);
}

/// Nothing if the command succeeded; else how it failed.
std::string run_command(const std::string& command, const client::Event& event) {
  if (event.key.find('\0') != std::string::npos) {
    return "the key has a NUL byte, which no environment can hold; --since " +
           std::to_string(event.sequence + 1) + " passes the event over";
  }
  auto texts = environment_of(event);
  std::vector<char*> pointers;
  pointers.reserve(texts.size() + 1);
  for (auto& text : texts)
    pointers.push_back(text.data());
  pointers.push_back(nullptr);
  const auto child = ::fork();
  if (child < 0) return std::string("cannot be started: ") + std::strerror(errno);
  if (child == 0) run_shell(command.c_str(), pointers.data());
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return std::string("cannot be waited for: ") + std::strerror(errno);
  }
  if (WIFSIGNALED(status)) return fmt::format("ended by signal {}", WTERMSIG(status));
  if (WEXITSTATUS(status) != 0) return fmt::format("exit code {}", WEXITSTATUS(status));
  return {};
}

// ------------------------------------------------------------------------------------------ output

void print_event(const client::Event& event, const std::string& epoch, bool json) {
  if (!json) {
    print_out("{} {} {} {}\n", event.sequence, event.kind, event.size,
              shown(event.key, STDOUT_FILENO));
    return;
  }
  nlohmann::ordered_json line{{"sequence", event.sequence},
                              {"event", event.kind},
                              {"key", event.key},
                              {"version", event.version},
                              {"size", event.size},
                              {"time_ms", event.time_ms},
                              {"epoch", epoch}};
  if (event.mtime_ms) line["mtime_ms"] = *event.mtime_ms;
  print_out("{}", json_line(line));
}

// ---------------------------------------------------------------------------------------- watching

/// One run of `zdb watch`: what it does with each event.
class Watch {
 public:
  Watch(Session& session, BusClient client)
      : session_(session),
        options_(session.arguments().watch),
        client_(std::move(client)),
        follower_(client_, start(), [this](const Error& why) { return waits_for_node(why); }) {}

  void run() {
    while (!done_ && asked_to_end == 0) {
      auto page = follower_.next(limit());
      if (page) {
        waits_ = false;
        if (is_lost(*page)) return end_lost(*page);
        take(*page);
      } else if (!gave_up()) {
        return session_.failed("watch", page.error());
      }
    }
  }

 private:
  client::Events start() const {
    client::Events start;
    const auto& names = session_.arguments().names;
    if (!names.empty()) start.prefix = names.front();
    start.since = options_.since;
    start.durable = options_.durable;
    start.wait_ms = options_.once ? 0 : poll_ms;
    return start;
  }

  std::optional<std::uint32_t> limit() const {
    if (!options_.limit) return {};
    return static_cast<std::uint32_t>(std::min(*options_.limit - handled_, page_max));
  }

  bool waits_for_node(const Error& why) {
    if (!std::exchange(waits_, true)) session_.warn(why.what + "; waiting for it");
    return asked_to_end == 0;
  }

  void take(const client::Events::Reply& page) {
    const Middle middle;
    std::size_t handled = 0;
    for (const auto& event : page.entries) {
      if (asked_to_end != 0 || !handle(event, page.epoch)) break;
      handled += 1;
      // With a command each event counts by itself: the next may take long.
      if (options_.command && !done_until(event.sequence + 1)) return;
    }
    if (!printed()) return;
    handled_ += handled;
    const bool all = handled == page.entries.size();
    if (all)
      done_until(page.next);
    else if (handled > 0)
      done_until(page.entries[handled - 1].sequence + 1);
    done_ = done_ || !all || (options_.limit && handled_ >= *options_.limit) ||
            (options_.once && page.entries.empty());
  }

  bool handle(const client::Event& event, const std::string& epoch) {
    print_event(event, epoch, options_.json);
    if (!options_.command) return true;
    if (!printed()) return false;
    const auto problem = run_command(*options_.command, event);
    if (problem.empty()) return true;
    done_ = true;
    if (asked_to_end != 0) return false;
    session_.failed("watch",
                    fmt::format("the command failed for event {} ({} {}): {}", event.sequence,
                                event.kind, printable(event.key), problem),
                    ExitCode::failed);
    return false;
  }

  /// If not, it ends, and what was not written is not acknowledged. Why is told at the very end.
  bool printed() {
    const bool written = flush_stdout().has_value();
    done_ = done_ || !written;
    return written;
  }

  /// Durable when it returns. A node that stopped meanwhile is waited for.
  bool done_until(std::uint64_t next) {
    const auto kept = follower_.handled_until(next);
    waits_ = false;
    if (kept) return true;
    done_ = true;
    if (!gave_up()) session_.failed("watch", kept.error());
    return false;
  }

  /// The node is gone, and who asked for the end does not wait for it.
  bool gave_up() const { return asked_to_end != 0 && client_.lost(); }

  void end_lost(const client::Events::Reply& page) {
    const auto again = options_.durable
                           ? fmt::format("--durable {} --since {}", *options_.durable, page.next)
                           : fmt::format("--since {}", page.next);
    session_.failed("watch",
                    fmt::format("{}: look at what there is with zdb ls, then go on with: zdb watch "
                                "{}",
                                what_is_lost(page), again),
                    ExitCode::not_found);
  }

  Session& session_;
  const WatchArguments& options_;
  BusClient client_;
  EventFollower follower_;
  std::uint64_t handled_ = 0;
  bool waits_ = false;  ///< the node is gone, and that was said
  bool done_ = false;
};

void list_followers(Session& session, BusClient& client) {
  const auto reply = client.followers();
  if (!reply) return session.failed("watch", reply.error(), client);
  if (session.arguments().watch.json) {
    auto document = nlohmann::ordered_json::array();
    for (const auto& one : reply->entries) {
      document.push_back({{"durable", one.durable},
                          {"next", one.next},
                          {"behind", one.behind},
                          {"lost", one.lost}});
    }
    print_document(document);
    return;
  }
  for (const auto& one : reply->entries) {
    print_out("{}  next {}, {} behind{}\n", one.durable, one.next, one.behind,
              one.lost ? ", and some events are lost to it" : "");
  }
}

}  // namespace

void run_watch(Session& session) {
  auto client = session.connect();
  if (!client) return;
  const auto& options = session.arguments().watch;
  if (options.list) return list_followers(session, *client);
  if (options.forget) {
    const auto removed = client->follower_remove(*options.forget);
    if (!removed) session.failed("watch", removed.error(), *client);
    return;
  }
  watch_for_end_signals();
  Watch(session, std::move(*client)).run();
}

}  // namespace zerodb::tools
