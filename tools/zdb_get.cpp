#include <fmt/format.h>

#include "tools/terminal.hpp"
#include "tools/unfinished_files.hpp"
#include "tools/zdb_files.hpp"
#include "tools/zdb_names.hpp"
#include "tools/zdb_verbs.hpp"
#include "tools/zdb_workers.hpp"

namespace zerodb::tools {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view link_prefix = "zdbshare1-";

/// An object of the own owner's, or by a link one that somebody shared.
struct Wanted {
  std::string key;
  std::optional<std::string> link;
};

struct Destination {
  fs::path path;
  bool may_replace = true;
};

Result<client::ObjectInfo> fetch(BusClient& client, const Wanted& wanted, const ByteSink& sink,
                                 const std::optional<ByteRange>& range) {
  return wanted.link ? client.get_shared(*wanted.link, sink, range)
                     : client.get(wanted.key, sink, range);
}

/// Fetches one object into one file; how many bytes, or nothing if that failed.
std::optional<std::uint64_t> get_file(Session& session, BusClient& client, const Wanted& wanted,
                                      const Destination& to, Progress& progress) {
  auto file = to.may_replace ? OutputFile::create(to.path) : OutputFile::create_new(to.path);
  if (!file) {
    session.failed("", file.error());
    return {};
  }
  const ByteSink sink = [&](ByteView bytes) -> Status {
    progress.add(bytes.size());
    return file->write(bytes);
  };
  const auto& range = session.arguments().range;
  const auto info = fetch(client, wanted, sink, range);
  if (!info) {
    session.failed(wanted.key, info.error(), client);
    return {};
  }
  const auto finished = file->finish(range ? std::nullopt : info->mtime_ms);
  if (finished) return info->length.value_or(info->size);
  session.failed("", finished.error());
  return {};
}

/// Its first byte, for what comes with it.
Result<client::ObjectInfo> look_at_shared(BusClient& client, const std::string& link) {
  const ByteSink ignore = [](ByteView) -> Status { return {}; };
  return client.get_shared(link, ignore, ByteRange{.first = 0, .last = 0});
}

/// Asked for only where somebody looks on, as it costs a round trip.
std::optional<std::uint64_t> bytes_to_come(Session& session, BusClient& client,
                                           const Wanted& wanted) {
  if (!session.shows_progress()) return {};
  const auto info = wanted.link ? look_at_shared(client, *wanted.link) : client.stat(wanted.key);
  if (!info) return {};
  const auto range = session.arguments().range.value_or(ByteRange{});
  if (range.first >= info->size) return 0;
  const bool to_the_end = !range.last || *range.last >= info->size;
  const auto end = to_the_end ? info->size : *range.last + 1;
  return end - range.first;
}

/// Why that cannot be the name of a file here; empty if it can. Who shares an object names it: a
/// name that is easily overlooked would be theirs to choose, too.
std::string problem_of_name(const std::string& name, bool by_link) {
  if (name.empty() || name == "." || name == ".." || name.find('\0') != std::string::npos) {
    return "ends in nothing that could be a file's name; use: zdb get KEY PATH";
  }
  if (by_link && name.front() == '.') return "is the name of a hidden file; use: zdb get LINK PATH";
  return {};
}

/// Where `zdb get KEY [PATH]` writes; nothing if that cannot be told, which has been reported.
std::optional<Destination> destination(Session& session, const Wanted& wanted) {
  const auto& names = session.arguments().names;
  std::error_code ignored;
  const bool into_folder =
      names.size() == 2 && names[1] != "-" && fs::is_directory(names[1], ignored);
  if (names.size() == 2 && !into_folder) return Destination{.path = names[1]};
  const auto name = last_component(wanted.key);
  if (const auto problem = problem_of_name(name, wanted.link.has_value()); !problem.empty()) {
    session.failed(wanted.key, problem, ExitCode::usage);
    return {};
  }
  // Only who types it means stdout by it.
  const auto here = fs::path(name == "-" ? "./-" : name);
  return Destination{.path = into_folder ? fs::path(names[1]) / name : here,
                     .may_replace = !wanted.link};
}

/// What was shared is called as its owner called it.
std::optional<Wanted> by_link(Session& session, BusClient& client, const std::string& link) {
  const auto info = look_at_shared(client, link);
  if (info) return Wanted{.key = info->key, .link = link};
  session.failed("", info.error(), client);
  return {};
}

void get_one(Session& session) {
  const auto& word = session.arguments().names[0];
  const bool is_link = word.starts_with(link_prefix);
  const Wanted own{.key = word};
  if (!is_link && (!check_key(session, word) || !destination(session, own))) return;
  auto client = session.connect();
  if (!client) return;
  const auto wanted = is_link ? by_link(session, *client, word) : own;
  if (!wanted) return;
  const auto to = destination(session, *wanted);
  if (!to) return;
  Progress progress(session.shows_progress(), bytes_to_come(session, *client, *wanted));
  session.use(&progress);
  const auto bytes = get_file(session, *client, *wanted, *to, progress);
  session.use(nullptr);
  if (bytes && to->path != "-") {
    session.tell(fmt::format("fetched {}  {}", printable(to->path.string()), format_bytes(*bytes)));
  }
}

struct Target {
  std::string key;
  fs::path path;
};

struct Targets {
  std::vector<Target> all;
  std::uint64_t bytes = 0;
};

/// Keys that cannot be paths under the folder are reported and left out.
Targets targets_of(Session& session, const std::vector<client::List::Entry>& entries,
                   const std::string& prefix, const fs::path& folder) {
  Targets targets;
  for (const auto& entry : entries) {
    auto path = path_under(folder, prefix, entry.key);
    if (!path) {
      session.failed(entry.key, path.error().what, ExitCode::failed);
      continue;
    }
    targets.bytes += entry.size;
    targets.all.push_back({.key = entry.key, .path = std::move(*path)});
  }
  return targets;
}

void get_tree(Session& session, const Targets& targets, const fs::path& folder) {
  Progress progress(session.shows_progress(), targets.bytes);
  Tally tally;
  session.use(&progress);
  const bool served =
      for_each_at_once(session, targets.all.size(), [&](BusClient& client, std::size_t i) {
        const auto& [key, path] = targets.all[i];
        std::error_code failed;
        fs::create_directories(path.parent_path(), failed);
        if (failed) {
          const auto what = "cannot be made: " + failed.message();
          return session.failed(path.parent_path().string(), what, ExitCode::failed);
        }
        const auto bytes = get_file(session, client, {.key = key}, {.path = path}, progress);
        if (bytes) tally.add(*bytes);
      });
  session.use(nullptr);
  if (!served) return;
  if (auto synced = sync_disk_of(folder); !synced) return session.failed("", synced.error());
  session.summarize("fetched " + tally.text("file", progress.seconds()));
}

void get_recursively(Session& session) {
  const auto& names = session.arguments().names;
  if (names.size() != 2) {
    return session.failed("", "-r needs a prefix and a folder; use: zdb get -r PREFIX/ FOLDER",
                          ExitCode::usage);
  }
  const auto& prefix = names[0];
  if (!prefix.empty() && !prefix.ends_with('/')) {
    return session.failed(prefix, "a prefix ends in '/'; use: " + printable(prefix) + "/",
                          ExitCode::usage);
  }
  auto client = session.connect();
  if (!client) return;
  const auto entries = list_some(session, *client, prefix);
  if (!entries) return;
  get_tree(session, targets_of(session, *entries, prefix, names[1]), names[1]);
}

}  // namespace

void run_get(Session& session) {
  const auto& arguments = session.arguments();
  const auto& names = arguments.names;
  const bool to_stdout = !arguments.recursive && names.size() == 2 && names[1] == "-";
  if (!to_stdout) remove_unfinished_files_on_signals();
  return arguments.recursive ? get_recursively(session) : get_one(session);
}

}  // namespace zerodb::tools
