#pragma once
// The verbs and options of zdb, with their help, as CLI11 reads them. What is wrong with the values
// is found later: zdb_arguments.cpp.

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "tools/zdb_arguments.hpp"

namespace zerodb::tools {

/// What stands in options that are no plain text, before it is looked at. An empty text was given,
/// and is wrong: it comes from a script's variable that was not set.
struct Texts {
  std::optional<std::string> node;
  std::optional<std::string> remote;
  std::optional<std::string> range;
  std::optional<std::string> expires;
  std::optional<std::string> weight;
  std::optional<std::string> since;
  std::optional<std::string> limit;
  std::optional<std::string> if_version;
  std::vector<std::string> attributes;
};

/// Fills in what it is given, which must outlive it.
class Grammar {
 public:
  Grammar(Arguments& arguments, Texts& texts);

  /// Throws CLI::ParseError, also for --help and --version.
  void parse(std::vector<std::string> words);
  /// Says what --help and --version ask for.
  void answer(const CLI::ParseError& error) { app_.exit(error); }
  /// "put", "owner id", or as much of it as was found.
  std::string used_verb() const;
  /// Words that nothing was made of.
  std::vector<std::string> unknown() const { return app_.remaining(); }

 private:
  class HelpFormatter;

  CLI::App* add_verb(CLI::App& parent, const std::string& name, const std::string& about,
                     const std::string& examples);
  void add_output(CLI::App* verb);
  void add_names(CLI::App* verb, const std::string& usage, int at_least, int at_most);
  void add_transfers();
  void add_listings();
  void add_watch();
  void add_administration();
  void add_nodes();
  void add_mesh_key();
  void add_clients();

  std::shared_ptr<HelpFormatter> help_;
  CLI::App app_;
  Arguments& arguments_;
  Texts& texts_;
};

}  // namespace zerodb::tools
