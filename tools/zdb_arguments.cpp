#include "tools/zdb_arguments.hpp"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <limits>
#include <map>

#include "store/version.hpp"
#include "tools/terminal.hpp"

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
  return variable("HOME") / ".local/share/zerodb";
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

/// What CLI11 fills in as text, before it is looked at.
struct Texts {
  std::string node;
  std::string remote;
  std::string range;
  std::string expires;
  std::string weight;
  std::string since;
  std::string limit;
  std::string if_version;
  std::vector<std::string> attributes;
};

/// CLI11's help, with our own words for what a verb takes.
class HelpFormatter : public CLI::Formatter {
 public:
  void set_usage(const CLI::App* verb, std::string usage) { usages_[verb] = std::move(usage); }

  std::string make_usage(const CLI::App* app, std::string name) const override {
    const auto usage = usages_.find(app);
    const auto words = usage == usages_.end() ? "" : usage->second + " ";
    const auto verb = app->get_subcommands([](const CLI::App*) { return true; }).empty();
    return "Usage: " + name + (verb ? " " : " VERB ") + words + "[OPTIONS]\n";
  }

  std::string make_positionals(const CLI::App*) const override { return {}; }

 private:
  std::map<const CLI::App*, std::string> usages_;
};

class Grammar {
 public:
  Grammar() : app_("zdb: keep files in a zerodb mesh", "zdb") {
    app_.set_version_flag("--version", std::string(version()));
    app_.add_option("--node", texts_.node,
                    "Data folder of the node to speak to; default: $ZERODB_DIR, then "
                    "$XDG_DATA_HOME/zerodb, then ~/.local/share/zerodb")
        ->type_name("DIR");
    app_.add_option("--remote", texts_.remote,
                    "Speak to a node on another machine, with what zdb client add printed there, "
                    "or with the file it is in; default: $ZERODB_REMOTE")
        ->type_name("CREDENTIAL|@FILE");
    app_.add_flag("-q,--quiet", arguments_.quiet, "No progress, no summaries; errors only");
    app_.formatter(help_);
    app_.require_subcommand(1);
    app_.fallthrough();
    app_.footer(
        "Options may stand anywhere; after -- everything is a name.\n"
        "Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 denied, 5 no quorum or node\n"
        "unreachable, 6 damaged beyond repair, 7 full, 8 another version stands.\n"
        "zdb VERB --help shows examples.");
    add_transfers();
    add_listings();
    add_watch();
    add_administration();
    add_nodes();
    add_mesh_key();
    add_clients();
  }

  Parsed parse(std::vector<std::string> words);

 private:
  CLI::App* add_verb(CLI::App& parent, const std::string& name, const std::string& about,
                     const std::string& examples);
  void add_names(CLI::App* verb, const std::string& usage, int at_least, int at_most);
  void add_transfers();
  void add_listings();
  void add_watch();
  void add_administration();
  void add_nodes();
  void add_mesh_key();
  void add_clients();
  std::string used_verb() const;
  std::string problem();
  std::string problem_of_watch();
  std::string problem_of_write();
  std::string find_remote();
  static Parsed refuse(std::string what, const std::string& verb);

  std::shared_ptr<HelpFormatter> help_ = std::make_shared<HelpFormatter>();
  CLI::App app_;
  Arguments arguments_;
  Texts texts_;
};

CLI::App* Grammar::add_verb(CLI::App& parent, const std::string& name, const std::string& about,
                            const std::string& examples) {
  auto* verb = parent.add_subcommand(name, about);
  verb->fallthrough();
  verb->footer("Examples:\n" + examples);
  return verb;
}

void Grammar::add_names(CLI::App* verb, const std::string& usage, int at_least, int at_most) {
  constexpr int any_number = 1 << 24;
  auto* names = verb->add_option("names", arguments_.names);
  names->expected(at_least, at_most == 0 ? any_number : at_most);
  help_->set_usage(verb, usage);
  if (at_least > 0) names->required();
}

void Grammar::add_transfers() {
  auto* put =
      add_verb(app_, "put", "Store files",
               "  zdb put notes.txt                 as notes.txt\n"
               "  zdb put notes.txt work/notes      as work/notes\n"
               "  zdb put *.jpg photos/             several, under a prefix\n"
               "  zdb put -r photos                 a folder, as photos/...\n"
               "  zdb put -r photos 2026/           a folder, as 2026/...\n"
               "  tar c . | zdb put - backup.tar    from stdin\n"
               "  zdb put a.png --type image/png --attr by=ann\n"
               "  zdb put lock --if-absent          only if there is none: else exit code 8\n"
               "  zdb put deed.pdf --receipts r.json   with the nodes' signatures");
  add_names(put, "PATH... [KEY | PREFIX/]", 1, 0);
  put->add_flag("-r,--recursive", arguments_.recursive, "Store all files of a folder");
  put->add_option("--type", arguments_.media_type, "Media type, such as text/plain")
      ->type_name("TYPE");
  put->add_option("--attr", texts_.attributes, "An attribute; may be given again")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  put->add_flag("--if-absent", arguments_.if_absent, "Only if there is no such object");
  put->add_option("--if-version", texts_.if_version, "Only if this version stands; see zdb stat")
      ->type_name("N");
  put->add_option(
         "--receipts", arguments_.receipts,
         "For one object: write to FILE what each node signed that had it on disk for good "
         "when the put was acknowledged; these are as many as must, and may be more")
      ->type_name("FILE");

  auto* get = add_verb(app_, "get", "Fetch files",
                       "  zdb get work/notes                to the file notes\n"
                       "  zdb get work/notes a.txt          to the file a.txt\n"
                       "  zdb get backup.tar - | tar t      to stdout\n"
                       "  zdb get film.mkv - --range 0-99   its first 100 bytes\n"
                       "  zdb get -r photos/ copy           all under photos/, to the folder copy\n"
                       "  zdb get zdbshare1-...             what somebody shared with you");
  add_names(get, "KEY [PATH] | LINK [PATH] | -r PREFIX/ FOLDER", 1, 2);
  get->add_flag("-r,--recursive", arguments_.recursive, "Fetch all objects under a prefix");
  get->add_option("--range", texts_.range, "Only these bytes, counted from 0, both included")
      ->type_name("FIRST-LAST");

  auto* share = add_verb(app_, "share", "Print a link that lets another owner read one object",
                         "  zdb share film.mkv                then, elsewhere: zdb get LINK\n"
                         "  zdb share film.mkv --expires 1h");
  add_names(share, "KEY", 1, 1);
  share->add_option("--expires", texts_.expires, "30s, 15m, 1h, 7d; default 7d")
      ->type_name("DURATION");

  auto* rm = add_verb(app_, "rm", "Delete objects",
                      "  zdb rm notes.txt old.txt\n"
                      "  zdb rm -r photos/2019/            all under the prefix");
  add_names(rm, "KEY... | -r PREFIX/", 1, 0);
  rm->add_flag("-r,--recursive", arguments_.recursive, "Delete all objects under a prefix");
  rm->add_option("--if-version", texts_.if_version, "Only if this version stands; see zdb stat")
      ->type_name("N");
}

void Grammar::add_listings() {
  auto* ls = add_verb(app_, "ls", "List objects",
                      "  zdb ls\n"
                      "  zdb ls photos/ -l                 with sizes and times\n"
                      "  zdb ls --json");
  add_names(ls, "[PREFIX]", 0, 1);
  ls->add_flag("-l,--long", arguments_.details, "Sizes and times too");
  ls->add_flag("--json", arguments_.json, "One JSON document");

  auto* stat = add_verb(app_, "stat", "Show what is known of an object",
                        "  zdb stat notes.txt\n"
                        "  zdb stat notes.txt --json");
  add_names(stat, "KEY", 1, 1);
  stat->add_flag("--json", arguments_.json, "One JSON document");

  auto* verify = add_verb(app_, "verify", "Have the nodes prove that they hold an object",
                          "  zdb verify notes.txt              asks every node it is placed on\n"
                          "  zdb verify notes.txt --json\n"
                          "  zdb verify --receipts r.json      checks what put --receipts wrote,\n"
                          "                                    with no node");
  add_names(verify, "KEY | --receipts FILE", 0, 1);
  verify->add_flag("--json", arguments_.json, "One JSON document");
  verify->add_option("--receipts", arguments_.receipts, "Check the receipts in FILE")
      ->type_name("FILE");

  auto* status = add_verb(app_, "status", "Show the node and its mesh",
                          "  zdb status\n"
                          "  zdb status --json");
  status->add_flag("--json", arguments_.json, "One JSON document");
}

void Grammar::add_watch() {
  auto& watch = arguments_.watch;
  auto* verb = add_verb(
      app_, "watch", "Follow what is stored and deleted, one line an event",
      "  zdb watch                         all from now on: sequence, event, size, key\n"
      "  zdb watch photos/ --since 0       all that is still known, under a prefix\n"
      "  zdb watch --durable mirror        go on where this follower was, the first time from now\n"
      "  zdb watch --durable mirror --exec 'echo \"$ZERODB_EVENT $ZERODB_KEY\"'\n"
      "  zdb watch --list                  the durable followers\n"
      "  zdb watch --forget mirror");
  add_names(verb, "[PREFIX]", 0, 1);
  verb->add_option("--since", texts_.since, "From this sequence number on; 0: all that are kept")
      ->type_name("N");
  verb->add_option("--durable", watch.durable, "The node remembers how far this follower is")
      ->type_name("NAME");
  verb->add_option("--exec", watch.command,
                   "Run this by /bin/sh for each event, with ZERODB_EVENT, _KEY, _VERSION, _SIZE\n"
                   "and _SEQUENCE set; stop when it fails")
      ->type_name("COMMAND");
  verb->add_option("--limit", texts_.limit, "End after so many events")->type_name("N");
  verb->add_flag("--once", watch.once, "End when there are no more for now");
  verb->add_flag("--json", watch.json, "One JSON object a line");
  verb->add_flag("--list", watch.list, "List the durable followers");
  verb->add_option("--forget", watch.forget, "Remove a durable follower")->type_name("NAME");
}

void Grammar::add_administration() {
  auto* scrub = add_verb(app_, "scrub", "Verify what lies on the node's disk, and repair it",
                         "  zdb scrub                         how the last walk went\n"
                         "  zdb scrub --now                   verify all of it at once, and wait\n"
                         "  zdb scrub --now --no-wait");
  scrub->add_flag("--now", arguments_.now, "Begin at once, at full speed, and wait for the end");
  scrub->add_flag("--no-wait", arguments_.no_wait, "With --now: do not wait");
  scrub->add_flag("--json", arguments_.json, "One JSON document");

  auto* invite = add_verb(app_, "invite", "Print a ticket with which one machine may join",
                          "  zdb invite                        then: zerodb-node join TICKET ...\n"
                          "  zdb invite --share-owner          the new node reads your files too\n"
                          "  zdb invite --expires 15m");
  invite->add_flag("--share-owner", arguments_.share_owner,
                   "Put the owner's key into the ticket: keep it as secret as the key");
  invite->add_option("--expires", texts_.expires, "30s, 15m, 1h, 7d; default 1h")
      ->type_name("DURATION");

  auto* owner = app_.add_subcommand("owner", "The owner's key: show, save, restore");
  owner->require_subcommand(1);
  owner->fallthrough();
  add_verb(*owner, "id", "Print the owner's id", "  zdb owner id");
  add_verb(*owner, "export", "Print the recovery text: whoever has it has your files",
           "  zdb owner export > paper.txt");
  auto* import = add_verb(*owner, "import", "Restore an owner's key from its recovery text",
                          "  zdb owner import                  asks for it\n"
                          "  zdb owner import paper.txt\n"
                          "  zdb owner import --replace        puts aside the key the node has");
  add_names(import, "[FILE | -]", 0, 1);
  import->add_flag("--replace", arguments_.replace, "Put aside the owner's key the node has");
}

void Grammar::add_nodes() {
  auto* node = app_.add_subcommand("node", "The nodes of the mesh: list, drain, remove, set");
  node->require_subcommand(1);
  node->fallthrough();
  auto* list = add_verb(*node, "list", "Show the nodes, their health and whether they drain",
                        "  zdb node list\n"
                        "  zdb node list --json");
  list->add_flag("--json", arguments_.json, "One JSON document");

  auto* drain = add_verb(*node, "drain", "Move everything off a node, so that it can be removed",
                         "  zdb node drain attic\n"
                         "  zdb node drain attic --wait       returns when nothing is left on it");
  add_names(drain, "NAME", 1, 1);
  drain->add_flag("--wait", arguments_.wait, "Wait until the node is drained");
  auto* undrain =
      add_verb(*node, "undrain", "Let a node hold data again", "  zdb node undrain attic");
  add_names(undrain, "NAME", 1, 1);

  auto* remove = add_verb(*node, "remove", "Take a node out of the mesh for good",
                          "  zdb node remove attic             once it is drained\n"
                          "  zdb node remove attic --force     when it is lost");
  add_names(remove, "NAME", 1, 1);
  remove->add_flag("--force", arguments_.force, "Even if it holds data; some may be lost with it");

  auto* set = add_verb(*node, "set", "Change where a node is or how much it holds",
                       "  zdb node set attic --zone house2  copies go to different zones first\n"
                       "  zdb node set attic --weight 200   twice the share of a node with 100");
  add_names(set, "NAME", 1, 1);
  set->add_option("--zone", arguments_.zone, "Nodes that fail together; '' for none")
      ->type_name("ZONE");
  set->add_option("--weight", texts_.weight, "Its share of the data, 1 to 10000")
      ->type_name("WEIGHT");
}

void Grammar::add_mesh_key() {
  auto* mesh = app_.add_subcommand("mesh", "The mesh key: save it, give it to another node");
  mesh->require_subcommand(1);
  mesh->fallthrough();
  add_verb(*mesh, "export", "Print the recovery text: whoever has it decides who is a member",
           "  zdb mesh export > paper.txt");
  auto* import = add_verb(*mesh, "import", "Let this node invite and administer",
                          "  zdb mesh import                   asks for the recovery text\n"
                          "  zdb mesh import paper.txt");
  add_names(import, "[FILE | -]", 0, 1);
}

void Grammar::add_clients() {
  auto* client = app_.add_subcommand("client", "Programs on other machines: let in, list, revoke");
  client->require_subcommand(1);
  client->fallthrough();
  auto* add = add_verb(*client, "add", "Print a credential with which a program may come in",
                       "  zdb client add camera --write cam/ > camera.credential\n"
                       "  zdb client add web --read site/ --expires 30d\n"
                       "  zdb client add laptop --read '' --write '' --delete ''   everything\n"
                       "  zdb --remote @camera.credential put x.jpg cam/x.jpg      over there");
  add_names(add, "NAME", 1, 1);
  const auto add_right = [add](const char* option, std::vector<std::string>& to,
                               const std::string& what) {
    add->add_option(option, to, what + " keys that begin with PREFIX; may be repeated")
        ->type_name("PREFIX")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  add_right("--read", arguments_.read, "May get, stat and list");
  add_right("--write", arguments_.write, "May put, also in place of others,");
  add_right("--delete", arguments_.remove, "May delete");
  add->add_option("--expires", texts_.expires, "30s, 15m, 1h, 7d; default never")
      ->type_name("DURATION");
  auto* list = add_verb(*client, "list", "Show who may come in",
                        "  zdb client list\n"
                        "  zdb client list --json");
  list->add_flag("--json", arguments_.json, "One JSON document");
  auto* revoke = add_verb(*client, "revoke", "Let a program in no more, from now on",
                          "  zdb client revoke camera");
  add_names(revoke, "NAME", 1, 1);
}

/// "put", "owner id", or as much of it as was found.
std::string Grammar::used_verb() const {
  std::string verb;
  for (auto used = app_.get_subcommands(); !used.empty(); used = used.front()->get_subcommands()) {
    verb += (verb.empty() ? "" : " ") + used.front()->get_name();
  }
  return verb;
}

std::string Grammar::problem_of_watch() {
  auto& watch = arguments_.watch;
  const auto number = [](const std::string& text, std::optional<std::uint64_t>& to) {
    if (!text.empty()) to = parse_number(text);
    return text.empty() || to.has_value();
  };
  if (!number(texts_.since, watch.since)) return "--since " + texts_.since + ": is no number";
  if (!number(texts_.limit, watch.limit) || watch.limit == 0U) {
    return "--limit " + texts_.limit + ": is no number of events";
  }
  const bool follows = watch.since || watch.durable || watch.command || watch.limit || watch.once;
  if ((watch.list || watch.forget) && (follows || (watch.list && watch.forget))) {
    return "--list and --forget: go with no other option but --json";
  }
  return {};
}

/// With what is said of objects that are put or deleted.
std::string Grammar::problem_of_write() {
  auto attributes = parse_attributes(texts_.attributes);
  if (!attributes) return attributes.error().what;
  arguments_.attributes = std::move(*attributes);
  if (texts_.if_version.empty()) return {};
  arguments_.if_version = parse_number(texts_.if_version);
  if (!arguments_.if_version) {
    return "--if-version " + printable(texts_.if_version) + ": is no version; zdb stat shows it";
  }
  if (arguments_.if_absent) return "--if-version and --if-absent exclude each other";
  if (arguments_.recursive) return "--if-version: is for one object, not for -r";
  return {};
}

/// What CLI11 cannot see is wrong.
std::string Grammar::problem() {
  if (!texts_.range.empty()) {
    arguments_.range = parse_range(texts_.range);
    if (!arguments_.range) {
      return "--range " + texts_.range + ": is no range; use FIRST-LAST, such as 0-99";
    }
    if (arguments_.recursive) return "--range: is for one object, not for -r";
  }
  if (auto what = problem_of_write(); !what.empty()) return what;
  if (!texts_.expires.empty()) {
    const auto expires = parse_duration(texts_.expires);
    if (!expires) {
      return "--expires " + texts_.expires + ": is no duration; use 30s, 15m, 1h or 7d";
    }
    arguments_.expires = *expires;
    arguments_.expires_given = true;
  } else if (arguments_.verb == "share") {
    arguments_.expires = std::chrono::hours(7 * 24);
  }
  if (!texts_.weight.empty()) {
    const auto weight = parse_number(texts_.weight);
    if (!weight || *weight > std::numeric_limits<std::uint32_t>::max()) {
      return "--weight " + texts_.weight + ": is no number from 1 to 10000";
    }
    arguments_.weight = static_cast<std::uint32_t>(*weight);
  }
  if (const auto what = problem_of_watch(); !what.empty()) return what;
  if (arguments_.verb == "put" && arguments_.receipts && arguments_.recursive) {
    return "--receipts: is for one object, not for -r";
  }
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
std::string Grammar::find_remote() {
  auto text = texts_.remote;
  if (!text.empty() && !texts_.node.empty()) return "--node and --remote: give one of them";
  const char* variable = std::getenv("ZERODB_REMOTE");
  const bool from_environment = text.empty() && texts_.node.empty() && variable != nullptr;
  if (from_environment) text = variable;
  if (text.empty()) return {};
  const bool at = text.starts_with('@');
  const bool is_file = at || (from_environment && !text.starts_with(credential_prefix));
  auto remote = parse_remote(at ? text.substr(1) : text, is_file);
  if (!remote) return (from_environment ? "ZERODB_REMOTE: " : "--remote: ") + remote.error().what;
  arguments_.remote = std::move(*remote);
  return {};
}

Parsed Grammar::refuse(std::string what, const std::string& verb) {
  std::erase(what, shield);
  std::cerr << "zdb: " << what << "\nSee: zdb " << verb << (verb.empty() ? "" : " ") << "--help\n";
  return {.arguments = {}, .exit_code = ExitCode::usage};
}

Parsed Grammar::parse(std::vector<std::string> words) {
  words = shielded(std::move(words));
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  try {
    app_.parse(std::move(words));
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      app_.exit(error);
      return {};
    }
    const auto verb = used_verb();
    const auto unknown = app_.remaining();
    if (verb.empty() && !unknown.empty())
      return refuse(printable(unknown.front()) + ": is no verb", verb);
    return refuse(error.what(), verb);
  }
  arguments_.verb = used_verb();
  for (auto& name : arguments_.names)
    name = unshielded(std::move(name));
  for (auto* prefixes : {&arguments_.read, &arguments_.write, &arguments_.remove}) {
    for (auto& prefix : *prefixes)
      prefix = unshielded(std::move(prefix));
  }
  for (auto* text : {&texts_.node, &texts_.remote, &texts_.range, &texts_.expires, &texts_.weight,
                     &texts_.since, &texts_.limit}) {
    *text = unshielded(std::move(*text));
  }
  auto& watch = arguments_.watch;
  for (auto* text : {&watch.durable, &watch.command, &watch.forget}) {
    if (*text) *text = unshielded(std::move(**text));
  }
  for (auto& text : texts_.attributes)
    text = unshielded(std::move(text));
  for (auto* text : {&texts_.if_version, &arguments_.media_type})
    *text = unshielded(std::move(*text));
  if (arguments_.receipts) arguments_.receipts = unshielded(std::move(*arguments_.receipts));
  if (arguments_.zone) arguments_.zone = unshielded(std::move(*arguments_.zone));
  if (const auto what = problem(); !what.empty()) return refuse(what, arguments_.verb);
  arguments_.node = texts_.node.empty() ? default_node() : std::filesystem::path(texts_.node);
  return {.arguments = std::move(arguments_)};
}

}  // namespace

Parsed parse_arguments(int argc, const char* const* argv) {
  return Grammar().parse({argv + std::min(argc, 1), argv + argc});
}

}  // namespace zerodb::tools
