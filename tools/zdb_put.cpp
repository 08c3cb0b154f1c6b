#include <fmt/format.h>

#include <set>

#include "tools/terminal.hpp"
#include "tools/unfinished_files.hpp"
#include "tools/zdb_files.hpp"
#include "tools/zdb_names.hpp"
#include "tools/zdb_receipts.hpp"
#include "tools/zdb_verbs.hpp"
#include "tools/zdb_workers.hpp"

namespace zerodb::tools {

namespace {

namespace fs = std::filesystem;

/// Which nodes many puts have missed, to be said once.
class Laggards {
 public:
  void add(const client::Stored& stored) {
    if (stored.missing.empty() || stored.copies >= stored.wanted) return;
    const std::lock_guard lock(mutex_);
    ++objects_;
    names_.insert(stored.missing.begin(), stored.missing.end());
  }
  void report(Session& session) const {
    if (objects_ == 0) return;
    std::string names;
    for (const auto& name : names_)
      names += (names.empty() ? "" : ", ") + printable(name);
    session.warn(fmt::format(
        "{} object{} on fewer nodes than wanted; {} {} behind and will catch up", objects_,
        objects_ == 1 ? " is" : "s are", names, names_.size() == 1 ? "is" : "are"));
  }

 private:
  std::mutex mutex_;
  std::size_t objects_ = 0;
  std::set<std::string> names_;
};

std::optional<client::Stored> put_file(Session& session, BusClient& client, InputFile& file,
                                       const PutItem& item, Progress& progress) {
  const ByteSource source = [&](MutableBytes to) -> Result<std::size_t> {
    auto count = file.read(to);
    if (count) progress.add(*count);
    return count;
  };
  const auto& arguments = session.arguments();
  auto stored = client.put(item.key, source,
                           {.size = file.size(),
                            .media_type = arguments.media_type,
                            .mtime_ms = file.mtime_ms(),
                            .attributes = arguments.attributes,
                            .if_version = arguments.if_version,
                            .if_absent = arguments.if_absent},
                           arguments.receipts.has_value());
  if (stored && file.has_grown()) {
    session.warn(fmt::format("{} has grown meanwhile; stored is what it was at first, {}",
                             printable(item.path.string()), format_bytes(stored->size)));
  } else if (stored && file.has_changed()) {
    session.warn(fmt::format("{} was written meanwhile; stored may be a mix of before and after",
                             printable(item.path.string())));
  }
  if (stored) return std::move(*stored);
  session.failed(item.path.string(), stored.error(), client);
  return {};
}

/// The file that receipts are to go to, so that it is known to be writable before anything is put.
Result<std::optional<OutputFile>> open_receipts(const Session& session) {
  if (!session.arguments().receipts) return std::nullopt;
  auto file = OutputFile::create(*session.arguments().receipts);
  if (!file) return fail(std::move(file.error()));
  file->keep_private();
  return std::move(*file);
}

Status write_receipts(OutputFile& file, const std::string& key, const client::Stored& stored) {
  const auto document = receipts_document(key, stored);
  if (!document) return fail(Error(document.error()));
  if (auto written = file.write(as_bytes(*document)); !written) return written;
  return file.finish({});
}

void put_one(Session& session, BusClient& client, const PutItem& item) {
  if (!check_key(session, item.key)) return;
  auto file = InputFile::open(item.path);
  if (!file) {
    const bool folder = file.error().code == Errc::invalid;
    const auto code = folder ? ExitCode::usage : exit_code_of(file.error().code);
    return session.failed("", file.error().what, code);
  }
  std::error_code unknown;
  const auto& kept_in = session.arguments().receipts;
  if (kept_in && std::filesystem::equivalent(item.path, *kept_in, unknown)) {
    return session.failed("", "--receipts: would replace the file that is put", ExitCode::usage);
  }
  auto receipts = open_receipts(session);
  if (!receipts) return session.failed("", receipts.error());
  Progress progress(session.shows_progress(), file->size());
  session.use(&progress);
  const auto stored = put_file(session, client, *file, item, progress);
  session.use(nullptr);
  if (!stored) return;
  if (*receipts) {
    const auto kept = write_receipts(**receipts, item.key, *stored);
    if (!kept) {
      const auto what = "it is stored, but its receipts are not kept: " + kept.error().what;
      session.failed(item.key, {kept.error().code, what});
    }
  }
  session.check_copies(item.key, *stored);
  session.tell(fmt::format("stored {}  {}", printable(item.key), format_bytes(stored->size)));
}

struct Tree {
  std::vector<PutItem> items;
  std::uint64_t bytes = 0;
};

/// Why that is no file to store.
std::string why_left_out(const fs::file_status& status) {
  if (fs::is_directory(status)) return "is a link to a folder; not followed";
  return fs::exists(status) ? "is no file; left out" : "is a link to nothing; left out";
}

/// True for a folder, to be gone into.
bool add_to_tree(Session& session, Tree& tree, const fs::path& folder, const std::string& prefix,
                 const fs::directory_entry& entry) {
  const auto path = entry.path().string();
  std::error_code failed;
  std::error_code ignored;
  const auto status = entry.status(failed);
  if (!fs::status_known(status)) {
    session.failed(path, "cannot be looked at: " + failed.message(), ExitCode::failed);
    return false;
  }
  if (fs::is_directory(status) && !entry.is_symlink(ignored)) return true;
  if (!fs::is_regular_file(status)) {
    session.warn(printable(path) + ": " + why_left_out(status));
    return false;
  }
  const auto size = entry.file_size(failed);
  tree.bytes += failed ? 0 : size;
  tree.items.push_back(
      {.path = entry.path(), .key = prefix + entry.path().lexically_relative(folder).string()});
  return false;
}

Tree tree_of(Session& session, const fs::path& folder, const std::string& prefix) {
  Tree tree;
  std::error_code failed;
  std::vector<fs::path> folders{folder};
  while (!folders.empty()) {
    const auto path = folders.back();
    folders.pop_back();
    fs::directory_iterator entries(path, failed);
    for (; entries != fs::directory_iterator(); entries.increment(failed)) {
      if (add_to_tree(session, tree, folder, prefix, *entries)) folders.push_back(entries->path());
    }
    if (failed) {
      session.failed(path.string(), "cannot be listed: " + failed.message(), ExitCode::failed);
    }
  }
  std::sort(tree.items.begin(), tree.items.end(),
            [](const PutItem& a, const PutItem& b) { return a.key < b.key; });
  return tree;
}

void put_tree(Session& session, const Tree& tree) {
  Progress progress(session.shows_progress(), tree.bytes);
  Tally tally;
  Laggards laggards;
  session.use(&progress);
  const bool served =
      for_each_at_once(session, tree.items.size(), [&](BusClient& client, std::size_t i) {
        const auto& item = tree.items[i];
        if (!check_key(session, item.key)) return;
        auto file = InputFile::open(item.path);
        if (!file) return session.failed("", file.error());
        const auto stored = put_file(session, client, *file, item, progress);
        if (!stored) return;
        tally.add(stored->size);
        laggards.add(*stored);
      });
  session.use(nullptr);
  if (!served) return;
  laggards.report(session);
  session.summarize("stored " + tally.text("file", progress.seconds()));
}

void put_recursively(Session& session) {
  const auto& names = session.arguments().names;
  if (names.size() > 2) {
    return session.failed("", "-r takes one folder and one prefix; use: zdb put -r FOLDER PREFIX/",
                          ExitCode::usage);
  }
  const fs::path folder = names[0];
  std::error_code failed;
  if (!fs::is_directory(folder, failed)) {
    const auto missing = !fs::exists(folder, failed);
    return session.failed(names[0],
                          missing ? "there is no such folder" : "is no folder; leave out -r",
                          missing ? ExitCode::failed : ExitCode::usage);
  }
  const auto prefix = names.size() == 2 ? names[1] : default_prefix(folder);
  if (!prefix.empty() && !prefix.ends_with('/')) {
    return session.failed(prefix, "a prefix ends in '/'; use: " + printable(prefix) + "/",
                          ExitCode::usage);
  }
  put_tree(session, tree_of(session, folder, prefix));
}

}  // namespace

void run_put(Session& session) {
  if (session.arguments().recursive) return put_recursively(session);
  const auto items = put_items(session.arguments().names);
  if (!items) return session.failed("", items.error().what, ExitCode::usage);
  if (items->size() > 1 && session.arguments().if_version) {
    return session.failed("", "--if-version: is for one object", ExitCode::usage);
  }
  // What is wrong with the command itself is said before a node is looked for.
  std::error_code ignored;
  const auto& first = items->front().path;
  if (items->size() == 1 && first != "-" && fs::is_directory(first, ignored)) {
    const auto path = printable(first.string());
    return session.failed("", path + ": is a folder; use: zdb put -r " + path, ExitCode::usage);
  }
  if (items->size() == 1 && !check_key(session, items->front().key)) return;
  if (items->size() > 1 && session.arguments().receipts) {
    return session.failed("", "--receipts: is for one object", ExitCode::usage);
  }
  if (session.arguments().receipts) remove_unfinished_files_on_signals();
  auto client = session.connect();
  if (!client) return;
  for (const auto& item : *items) {
    if (session.node_lost()) return;
    put_one(session, *client, item);
  }
}

}  // namespace zerodb::tools
