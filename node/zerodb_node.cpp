// The daemon's program: makes a node (init, join) and runs it (run).
#include <fcntl.h>
#include <malloc.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <iterator>
#include <string>

#include "bus/exit_code.hpp"
#include "bus/standard_streams.hpp"
#include "node/data_folder.hpp"
#include "node/new_node.hpp"
#include "node/run_node.hpp"
#include "store/hash.hpp"
#include "store/version.hpp"

namespace {

using namespace zerodb;

struct Arguments {
  NewNodeOptions node;
  RunOptions run;
  std::string ticket;
  std::string log_level;
  int passphrase_fd = -1;
  bool ask_passphrase = false;
};

constexpr auto examples =
    "Examples:\n"
    "  zerodb-node init --data /srv/z --listen 192.0.2.10:7710   found a mesh\n"
    "  zerodb-node run --data /srv/z                             serve\n"
    "  zdb --node /srv/z invite                                  print a ticket for another node\n"
    "  zerodb-node join - --data /srv/z                          join with it, on the other "
    "machine,\n"
    "                                                            which asks for it\n";

ExitCode complain(const Error& error, ExitCode code) {
  std::fprintf(stderr, "zerodb-node: %s\n", error.what.c_str());
  return code;
}

ExitCode complain(const Error& error) {
  return complain(error, exit_code_of(error.code));
}

std::string shell_quoted(const std::filesystem::path& path) {
  std::string text = "'";
  for (const char c : path.string())
    text += c == '\'' ? "'\\''" : std::string(1, c);
  return text + "'";
}

// --------------------------------------------------------------------------------- init and join

/// The passphrase for a new owner's key, if one was asked for.
Status take_passphrase(Arguments& arguments) {
  if (arguments.passphrase_fd < 0 && !arguments.ask_passphrase) return {};
  auto passphrase =
      arguments.ask_passphrase ? ask_new_passphrase() : read_passphrase(arguments.passphrase_fd);
  if (!passphrase) return fail(std::move(passphrase.error()));
  arguments.node.passphrase.emplace(std::move(*passphrase));
  return {};
}

void tell(const NewNode& made, const NewNodeOptions& options, bool founded) {
  std::printf("%s '%s' in %s\n", founded ? "Founded a mesh with the node" : "Made the node",
              made.name.c_str(), options.data.string().c_str());
  std::printf("  node   %s\n", made.node.hex().c_str());
  std::printf("  mesh   %s, %zu %s\n", made.mesh.hex().c_str(), made.members,
              made.members == 1 ? "member" : "members");
  if (made.owner) {
    std::printf("  owner  %s%s\n", made.owner->hex().c_str(),
                made.shared_owner ? ", shared by the ticket" : "");
  } else {
    std::printf("  owner  none: this node is blind, it keeps what it cannot read\n");
  }
  std::printf("Start it with: zerodb-node run --data %s\n", shell_quoted(options.data).c_str());
  if (made.owner && !made.shared_owner) {
    std::printf("Then keep what this prints in a safe place: zdb --node %s owner export\n",
                shell_quoted(options.data).c_str());
  }
}

ExitCode init(Arguments& arguments) {
  if (auto taken = take_passphrase(arguments); !taken) {
    return complain(taken.error(), ExitCode::usage);
  }
  if (auto checked = check_new_node(arguments.node); !checked) {
    return complain(checked.error(), ExitCode::usage);
  }
  const auto made = init_node(arguments.node);
  if (!made) return complain(made.error());
  tell(*made, arguments.node, true);
  return ExitCode::done;
}

/// "-" is a ticket on stdin, where no list of processes shows it. A person ends it with the line.
std::string ticket_words(const std::string& argument) {
  if (argument != "-") return argument;
  if (::isatty(STDIN_FILENO) == 0) return {std::istreambuf_iterator<char>(std::cin), {}};
  std::fputs("Ticket: ", stderr);
  std::string line;
  std::getline(std::cin, line);
  return line;
}

void warn_of_shown_ticket(const Ticket& ticket, const std::string& argument) {
  if (!ticket.owner || argument == "-") return;
  std::fputs(
      "zerodb-node: warning: the ticket holds the owner's key, and the list of processes and the "
      "shell's history show it; next time: zerodb-node join -, which asks for it\n",
      stderr);
}

ExitCode join(Arguments& arguments) {
  if (auto usable = NewDataFolder::check(arguments.node.data); !usable) {
    return complain(usable.error());
  }
  if (auto checked = check_new_node(arguments.node); !checked) {
    return complain(checked.error(), ExitCode::usage);
  }
  const auto ticket = parse_ticket(ticket_words(arguments.ticket));
  if (!ticket) return complain(ticket.error(), ExitCode::usage);
  warn_of_shown_ticket(*ticket, arguments.ticket);
  if (auto taken = take_passphrase(arguments); !taken) {
    return complain(taken.error(), ExitCode::usage);
  }
  if (arguments.node.blind && ticket->owner) {
    std::fprintf(stderr,
                 "zerodb-node: the ticket shares an owner's key, which a blind node does "
                 "not keep: it is left out\n");
  }
  const auto made = join_node(arguments.node, *ticket);
  if (!made) return complain(made.error());
  tell(*made, arguments.node, false);
  return ExitCode::done;
}

// ------------------------------------------------------------------------------------------- run

ExitCode run(Arguments& arguments) {
  bool wanting = false;  // a passphrase: a matter of how the program was called
  arguments.run.passphrase = [&](const std::filesystem::path& key) -> Result<Passphrase> {
    auto passphrase =
        arguments.passphrase_fd >= 0 ? read_passphrase(arguments.passphrase_fd)
        : has_terminal()             ? ask_passphrase("Passphrase of " + key.string() + ": ")
                                     : Result<Passphrase>(fail(
                                           Errc::invalid, shell_quoted(key) +
                                                              " is locked, and there is no terminal to ask on: "
                                                                          "give its passphrase with --passphrase-fd N"));
    wanting = !passphrase;
    return passphrase;
  };
  if (!arguments.log_level.empty()) arguments.run.log_level = arguments.log_level;
  const auto served = run_node(arguments.run);
  if (served) return ExitCode::done;
  return wanting ? complain(served.error(), ExitCode::usage) : complain(served.error());
}

// ------------------------------------------------------------------------------------- arguments

void add_node_options(CLI::App& command, Arguments& arguments) {
  auto& node = arguments.node;
  command.add_option("--data", node.data, "The folder to make: it must not exist, or be empty")
      ->required()
      ->type_name("DIR");
  command.add_option("--name", node.name, "What others see it by (default: the machine's name)")
      ->type_name("NAME");
  command
      .add_option("--zone", node.zone,
                  "Nodes that fail together share a zone; copies go to distinct ones first")
      ->type_name("ZONE");
  command
      .add_option("--listen", node.listen,
                  "Where other nodes reach it (default: 127.0.0.1:7710); port 0 takes any")
      ->type_name("HOST:PORT");
  command
      .add_option("--advertise", node.advertise,
                  "The host to announce, when it listens on every interface")
      ->type_name("HOST");
  auto* blind = command.add_flag("--blind", node.blind, "Keep sealed data, hold no owner's key");
  auto* ask = command.add_flag("--passphrase", arguments.ask_passphrase,
                               "Lock the owner's key with a passphrase, asked for here");
  auto* descriptor = command
                         .add_option("--passphrase-fd", arguments.passphrase_fd,
                                     "Lock it with the passphrase read from this file descriptor")
                         ->type_name("N")
                         ->check(CLI::NonNegativeNumber);
  ask->excludes(descriptor)->excludes(blind);
  descriptor->excludes(blind);
}

void add_commands(CLI::App& app, Arguments& arguments) {
  auto* init = app.add_subcommand("init", "Make a node that founds a mesh");
  add_node_options(*init, arguments);
  auto* join = app.add_subcommand("join", "Make a node that joins a mesh, with a ticket");
  join->add_option(
          "TICKET", arguments.ticket,
          "- to ask for what zdb invite printed, or to read it from stdin; or that itself, "
          "which others on this machine may see then")
      ->required();
  add_node_options(*join, arguments);
  auto* run = app.add_subcommand("run", "Serve, until SIGINT or SIGTERM");
  run->add_option("--data", arguments.run.data, "The folder that init or join made")
      ->required()
      ->type_name("DIR");
  run->add_option("--log-level", arguments.log_level, "In place of config.toml's log_level")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->type_name("LEVEL");
  run->add_flag("--log-json", arguments.run.log_json, "One JSON object a line");
  run->add_option("--passphrase-fd", arguments.passphrase_fd,
                  "Read the owner's passphrase from this file descriptor")
      ->type_name("N")
      ->check(CLI::NonNegativeNumber);
}

/// How malloc serves this process. By default glibc gives every thread a heap of its own that keeps
/// the most it ever held; with threads that take turns at the same work, that is many times what is
/// in use: a few are shared. A heap's free end goes back to the system only when it is larger than
/// what passes through in a moment: otherwise the blocks of a long read, a mebibyte each, are given
/// back and asked for again all the time, and the page faults cost more than sealing does.
void set_up_heaps() {
#ifdef __GLIBC__
  mallopt(M_ARENA_MAX, 4);
  mallopt(M_MMAP_THRESHOLD, 4 << 20);   // larger blocks stand alone, and go back when freed
  mallopt(M_TRIM_THRESHOLD, 16 << 20);  // free bytes at the end of a heap
#endif
}

}  // namespace

int main(int argc, char** argv) {
  hold_standard_streams();
  set_up_heaps();
  CLI::App app{"zerodb-node: one node of a zerodb mesh", "zerodb-node"};
  Arguments arguments;
  app.set_version_flag("--version", "zerodb-node " + std::string{version()});
  app.require_subcommand(1);
  app.footer(examples);
  add_commands(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(ExitCode::usage);
  }
  if (auto ready = initialise_crypto(); !ready) return static_cast<int>(complain(ready.error()));
  auto code = ExitCode::failed;
  if (app.got_subcommand("init")) code = init(arguments);
  if (app.got_subcommand("join")) code = join(arguments);
  if (app.got_subcommand("run")) code = run(arguments);
  return static_cast<int>(code);
}
