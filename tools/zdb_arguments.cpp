#include "tools/zdb_arguments.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>

#include "tools/terminal.hpp"
#include "tools/zdb_grammar.hpp"

namespace zerodb::tools {

namespace {

constexpr char shield = '\x01';

/// CLI11 has its own ideas of "", "++", "{}" and "[a,b]", and of what "--" ends, but they are all
/// fine names. A character in front keeps a name whole.
std::vector<std::string> shielded(std::vector<std::string> words) {
  const auto end = std::find(words.begin(), words.end(), "--");
  for (auto word = words.begin(); word != words.end(); ++word) {
    const bool special =
        word->empty() || std::string_view("[{+%\x01").find(word->front()) != std::string_view::npos;
    if (special || word > end) word->insert(0, 1, shield);
  }
  if (end != words.end()) words.erase(end);
  return words;
}

std::string unshielded(std::string argument) {
  if (!argument.empty() && argument.front() == shield) argument.erase(0, 1);
  return argument;
}

std::filesystem::path default_node() {
  const auto variable = [](const char* name) -> std::filesystem::path {
    const char* value = std::getenv(name);
    return value == nullptr ? "" : value;
  };
  if (const auto folder = variable("ZERODB_DIR"); !folder.empty()) return folder;
  if (const auto folder = variable("XDG_DATA_HOME"); !folder.empty()) return folder / "zerodb";
  auto home = variable("HOME");
  const passwd* user = home.empty() ? ::getpwuid(::getuid()) : nullptr;
  if (user != nullptr) home = user->pw_dir;
  return home / ".local/share/zerodb";
}

void warn_of_readers(const std::string& path) {
  struct stat about {};
  constexpr mode_t others = S_IRGRP | S_IROTH;
  if (::stat(path.c_str(), &about) != 0 || !S_ISREG(about.st_mode)) return;
  if ((about.st_mode & others) == 0) return;
  std::cerr << "zdb: warning: " << printable(path)
            << ": others on this machine may read this credential; chmod 600 ends that\n";
}

/// A credential, or the file that one is in.
Result<std::shared_ptr<const ClientCredential>> parse_remote(const std::string& text,
                                                             bool is_file) {
  constexpr std::streamsize bytes_max = 4096;
  std::string line = text;
  if (is_file) {
    std::ifstream file(text, std::ios::binary);
    line.resize(bytes_max);
    line.resize(static_cast<std::size_t>(file.read(line.data(), bytes_max).gcount()));
    if (line.empty()) return fail(Errc::invalid, printable(text) + ": cannot be read, or is empty");
  }
  auto credential = parse_credential(line);
  if (!credential && is_file) return fail(printable(text), std::move(credential.error()));
  if (!credential) return fail(std::move(credential.error()));
  if (is_file) warn_of_readers(text);
  return std::make_shared<const ClientCredential>(std::move(*credential));
}

/// "FIRST-LAST", both included; "FIRST-" to the end.
std::optional<ByteRange> parse_range(std::string_view text) {
  const auto dash = text.find('-');
  if (dash == std::string_view::npos) return {};
  const auto first = parse_number(text.substr(0, dash));
  const auto last = parse_number(text.substr(dash + 1));
  const bool open = dash + 1 == text.size();
  if (!first || (!open && !last) || (last && *last < *first)) return {};
  return ByteRange{.first = *first, .last = last};
}

/// "NAME=VALUE", each name once; an error names the one that is not.
Result<std::map<std::string, std::string>> parse_attributes(const std::vector<std::string>& texts) {
  std::map<std::string, std::string> attributes;
  for (const auto& text : texts) {
    const auto equals = text.find('=');
    if (equals == std::string::npos || equals == 0) {
      return fail(Errc::invalid, "--attr " + printable(text) + ": use NAME=VALUE");
    }
    if (!attributes.emplace(text.substr(0, equals), text.substr(equals + 1)).second) {
      return fail(Errc::invalid, "--attr " + printable(text) + ": this name was given before");
    }
  }
  return attributes;
}

/// "OPTION VALUE: ", which says what is wrong with the value.
std::string given(const std::string& option, const std::string& value) {
  return option + " " + (value.empty() ? "''" : printable(value)) + ": ";
}

/// One command line: what CLI11 makes of it, taken apart and checked.
class Reading {
 public:
  Parsed read(std::vector<std::string> words);

 private:
  void unshield();
  std::string problem();
  std::string problem_of_watch();
  std::string problem_of_write();
  std::string find_remote();
  static Parsed refuse(std::string what, const std::string& verb);

  Arguments arguments_;
  Texts texts_;
  Grammar grammar_{arguments_, texts_};
};

/// What the shield was put in front of is itself again.
void Reading::unshield() {
  for (auto& name : arguments_.names)
    name = unshielded(std::move(name));
  for (auto* prefixes : {&arguments_.read, &arguments_.write, &arguments_.remove}) {
    for (auto& prefix : *prefixes)
      prefix = unshielded(std::move(prefix));
  }
  auto& watch = arguments_.watch;
  for (auto* text :
       {&texts_.node, &texts_.remote, &texts_.range, &texts_.expires, &texts_.weight, &texts_.since,
        &texts_.limit, &texts_.if_version, &watch.durable, &watch.command, &watch.forget,
        &arguments_.receipts, &arguments_.output, &arguments_.zone}) {
    if (*text) *text = unshielded(std::move(**text));
  }
  for (auto& text : texts_.attributes)
    text = unshielded(std::move(text));
  arguments_.media_type = unshielded(std::move(arguments_.media_type));
}

std::string Reading::problem_of_watch() {
  auto& watch = arguments_.watch;
  if (texts_.since) {
    watch.since = parse_number(*texts_.since);
    if (!watch.since) return given("--since", *texts_.since) + "is no number";
  }
  if (texts_.limit) {
    watch.limit = parse_number(*texts_.limit);
    if (!watch.limit || watch.limit == 0U) {
      return given("--limit", *texts_.limit) + "is no number of events";
    }
  }
  if (watch.command && watch.command->empty()) return given("--exec", "") + "is no command";
  const bool follows = watch.since || watch.durable || watch.command || watch.limit || watch.once ||
                       !arguments_.names.empty();
  if ((watch.list || watch.forget) && (follows || (watch.list && watch.forget))) {
    return "--list and --forget: go with nothing else but --json";
  }
  return {};
}

/// With what is said of objects that are put or deleted.
std::string Reading::problem_of_write() {
  auto attributes = parse_attributes(texts_.attributes);
  if (!attributes) return attributes.error().what;
  arguments_.attributes = std::move(*attributes);
  if (!texts_.if_version) return {};
  arguments_.if_version = parse_number(*texts_.if_version);
  if (!arguments_.if_version) {
    return given("--if-version", *texts_.if_version) + "is no version; zdb stat shows it";
  }
  if (arguments_.if_absent) return "--if-version and --if-absent exclude each other";
  if (arguments_.recursive) return "--if-version: is for one object, not for -r";
  return {};
}

/// What CLI11 cannot see is wrong.
std::string Reading::problem() {
  if (texts_.range) {
    arguments_.range = parse_range(*texts_.range);
    if (!arguments_.range) {
      return given("--range", *texts_.range) + "is no range; use FIRST-LAST, such as 0-99";
    }
    if (arguments_.recursive) return "--range: is for one object, not for -r";
  }
  if (auto what = problem_of_write(); !what.empty()) return what;
  if (texts_.expires) {
    const auto expires = parse_duration(*texts_.expires);
    if (!expires) {
      return given("--expires", *texts_.expires) + "is no duration; use 30s, 15m, 1h or 7d";
    }
    arguments_.expires = *expires;
    arguments_.expires_given = true;
  } else if (arguments_.verb == "share") {
    arguments_.expires = std::chrono::hours(7 * 24);
  }
  if (texts_.weight) {
    const auto weight = parse_number(*texts_.weight);
    if (!weight || *weight > std::numeric_limits<std::uint32_t>::max()) {
      return given("--weight", *texts_.weight) + "is no number from 1 to 10000";
    }
    arguments_.weight = static_cast<std::uint32_t>(*weight);
  }
  if (const auto what = problem_of_watch(); !what.empty()) return what;
  if (arguments_.no_wait && !arguments_.now) return "--no-wait: goes with --now";
  if (arguments_.verb == "put" && arguments_.receipts && arguments_.recursive) {
    return "--receipts: is for one object, not for -r";
  }
  if (arguments_.receipts && arguments_.receipts->empty()) {
    return given("--receipts", "") + "is no file";
  }
  if (arguments_.output && arguments_.output->empty()) return given("--output", "") + "is no file";
  if (arguments_.verb == "verify" && arguments_.names.empty() == !arguments_.receipts) {
    return "verify: give one key, or --receipts FILE";
  }
  if (arguments_.verb == "node set" && !arguments_.weight && !arguments_.zone) {
    return "node set: nothing to set; give --zone, --weight or both";
  }
  if (arguments_.verb == "client add" && arguments_.read.empty() && arguments_.write.empty() &&
      arguments_.remove.empty()) {
    return "client add: it may do nothing; give --read, --write or --delete, each with the "
           "beginning of keys, or with '' for all";
  }
  return find_remote();
}

/// --node and --remote come before the environment, whose credential comes before its folder.
std::string Reading::find_remote() {
  if (texts_.remote && texts_.node) return "--node and --remote: give one of them";
  if (texts_.node && texts_.node->empty()) return given("--node", "") + "is no folder";
  if (texts_.remote && texts_.remote->empty()) return given("--remote", "") + "is no credential";
  if (texts_.node) return {};
  const char* variable = std::getenv("ZERODB_REMOTE");
  const bool from_environment = !texts_.remote && variable != nullptr;
  const std::string text = from_environment ? variable : texts_.remote.value_or("");
  if (text.empty()) return {};
  const bool at = text.starts_with('@');
  const bool is_file = at || (from_environment && !text.starts_with(credential_prefix));
  if (is_file && !at && ::access(text.c_str(), R_OK) != 0) {
    // It is not shown: it may be a credential that is quoted, or mistyped where it begins.
    return "ZERODB_REMOTE: neither a credential, which begins with '" +
           std::string(credential_prefix) + "', nor a file that can be read";
  }
  auto remote = parse_remote(at ? text.substr(1) : text, is_file);
  if (!remote) return (from_environment ? "ZERODB_REMOTE: " : "--remote: ") + remote.error().what;
  arguments_.remote = std::move(*remote);
  return {};
}

Parsed Reading::refuse(std::string what, const std::string& verb) {
  std::erase(what, shield);
  std::cerr << "zdb: " << what << "\nSee: zdb " << verb << (verb.empty() ? "" : " ") << "--help\n";
  return {.exit_code = ExitCode::usage};
}

Parsed Reading::read(std::vector<std::string> words) {
  try {
    grammar_.parse(shielded(std::move(words)));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      grammar_.answer(error);
      return {};
    }
    const auto verb = grammar_.used_verb();
    const auto unknown = grammar_.unknown();
    if (verb.empty() && !unknown.empty())
      return refuse(printable(unknown.front()) + ": is no verb", verb);
    return refuse(error.what(), verb);
  }
  arguments_.verb = grammar_.used_verb();
  unshield();
  if (const auto what = problem(); !what.empty()) return refuse(what, arguments_.verb);
  arguments_.node = texts_.node ? std::filesystem::path(*texts_.node) : default_node();
  return {.arguments = std::move(arguments_)};
}

}  // namespace

Parsed parse_arguments(int argc, const char* const* argv) {
  return Reading().read({argv + std::min(argc, 1), argv + argc});
}

}  // namespace zerodb::tools
