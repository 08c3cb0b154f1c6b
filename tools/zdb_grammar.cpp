#include "tools/zdb_grammar.hpp"

#include <algorithm>
#include <map>

#include "store/version.hpp"

namespace zerodb::tools {

/// CLI11's help, with our own words for what a verb takes.
class Grammar::HelpFormatter : public CLI::Formatter {
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

Grammar::Grammar(Arguments& arguments, Texts& texts)
    : help_(std::make_shared<HelpFormatter>()),
      app_("zdb: keep files in a zerodb mesh", "zdb"),
      arguments_(arguments),
      texts_(texts) {
  app_.set_version_flag("--version", std::string(version()));
  app_.add_option("--node", texts_.node,
                  "Data folder of the node to speak to; default: $ZERODB_DIR, then "
                  "$XDG_DATA_HOME/zerodb, then ~/.local/share/zerodb")
      ->type_name("DIR");
  app_.add_option("--remote", texts_.remote,
                  "Speak to a node on another machine, with the file that what zdb client add "
                  "printed there is in, or with that itself, which others on this machine may "
                  "see then; default: $ZERODB_REMOTE")
      ->type_name("@FILE|CREDENTIAL");
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

void Grammar::parse(std::vector<std::string> words) {
  std::reverse(words.begin(), words.end());  // CLI11 takes them from the back
  app_.parse(std::move(words));
}

std::string Grammar::used_verb() const {
  std::string verb;
  for (auto used = app_.get_subcommands(); !used.empty(); used = used.front()->get_subcommands()) {
    verb += (verb.empty() ? "" : " ") + used.front()->get_name();
  }
  return verb;
}

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

void Grammar::add_output(CLI::App* verb) {
  verb->add_option("--output", arguments_.output,
                   "Write it to FILE, which only you may read, in place of stdout")
      ->type_name("FILE");
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

  auto* get =
      add_verb(app_, "get", "Fetch files",
               "  zdb get work/notes                to the file notes\n"
               "  zdb get work/notes a.txt          to the file a.txt\n"
               "  zdb get backup.tar - | tar t      to stdout\n"
               "  zdb get film.mkv - --range 0-99   its first 100 bytes\n"
               "  zdb get -r photos/ copy           all under photos/, to the folder copy\n"
               "  zdb get zdbshare1-...             what somebody shared with you, as a new file");
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

  auto* invite =
      add_verb(app_, "invite", "Print a ticket with which one machine may join",
               "  zdb invite                        then, there: zerodb-node join - ...\n"
               "  zdb invite --share-owner          the new node reads your files too\n"
               "  zdb invite --expires 15m --output ticket");
  add_output(invite);
  invite->add_flag("--share-owner", arguments_.share_owner,
                   "Put the owner's key into the ticket: keep it as secret as the key");
  invite->add_option("--expires", texts_.expires, "30s, 15m, 1h, 7d; default 1h")
      ->type_name("DURATION");

  auto* owner = app_.add_subcommand("owner", "The owner's key: show, save, restore");
  owner->require_subcommand(1);
  owner->fallthrough();
  add_verb(*owner, "id", "Print the owner's id", "  zdb owner id");
  add_output(add_verb(*owner, "export", "Print the recovery text: whoever has it has your files",
                      "  zdb owner export --output paper.txt"));
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
  add_output(add_verb(*mesh, "export",
                      "Print the recovery text: whoever has it decides who is a member",
                      "  zdb mesh export --output paper.txt"));
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
                       "  zdb client add camera --write cam/ --output camera.credential\n"
                       "  zdb client add web --read site/ --expires 30d\n"
                       "  zdb client add laptop --read '' --write '' --delete ''   everything\n"
                       "  zdb --remote @camera.credential put x.jpg cam/x.jpg      over there");
  add_names(add, "NAME", 1, 1);
  add_output(add);
  const auto add_right = [add](const char* option, std::vector<std::string>& to,
                               const std::string& what) {
    add->add_option(option, to, what + " keys that begin with PREFIX; may be repeated")
        ->type_name("PREFIX")
        ->expected(1)
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  };
  add_right("--read", arguments_.read, "May get, stat, list and watch");
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

}  // namespace zerodb::tools
