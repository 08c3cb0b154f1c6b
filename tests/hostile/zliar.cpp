// A member of a mesh that lies. Made by `zerodb-node join` like any other; for tests of the others.
#include <CLI/CLI.hpp>
#include <cstdio>

#include "node/run_node.hpp"
#include "store/hash.hpp"
#include "tests/hostile/liar.hpp"

namespace {

using namespace zerodb;
using namespace zerodb::hostile;

std::vector<NamedLie> all_lies() {
  std::vector<NamedLie> all;
  for (const auto& some : {lies_about_bytes(), lies_about_holdings(), lies_about_membership(),
                           lies_in_time(), lies_on_the_wire(), lies_in_broadcasts(), floods()}) {
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

void list(const std::vector<NamedLie>& all) {
  for (const auto& lie : all)
    std::printf("%-18s %s\n", std::string(lie.name).c_str(), std::string(lie.what).c_str());
}

/// Each called in turn when the daemon starts.
std::vector<NamedLie> chosen(const std::vector<NamedLie>& all,
                             const std::vector<std::string>& names) {
  std::vector<NamedLie> found;
  for (const auto& name : names) {
    const auto lie = std::ranges::find(all, name, &NamedLie::name);
    if (lie == all.end()) throw CLI::ValidationError("--lie", "no such lie: " + name);
    found.push_back(*lie);
  }
  return found;
}

/// A liar keeps to no limit of its own.
void lie_with(const std::vector<NamedLie>& lies, DaemonSpec& spec) {
  spec.links.requests_per_peer_max = 1'000'000;
  spec.in_front = [lies](const DaemonParts& parts) -> std::unique_ptr<LinkHandler> {
    std::vector<std::unique_ptr<Lie>> made;
    for (const auto& lie : lies)
      made.push_back(lie.make());
    return std::make_unique<Liar>(parts, std::move(made));
  };
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"zliar: a member of a mesh that lies, as zerodb-node run otherwise", "zliar"};
  RunOptions options;
  std::vector<std::string> names;
  bool listing = false;
  app.add_option("--data", options.data, "The folder that zerodb-node join made");
  app.add_option("--lie", names, "Which lies, all at once; none: as honest as any")->delimiter(',');
  app.add_flag("--list", listing, "What lies there are");
  try {
    app.parse(argc, argv);
    const auto all = all_lies();
    if (listing) {
      list(all);
      return 0;
    }
    options.adjust = [lies = chosen(all, names)](DaemonSpec& spec) { lie_with(lies, spec); };
  } catch (const CLI::ParseError& error) {
    return app.exit(error);
  }
  if (!initialise_crypto()) return 1;
  const auto served = run_node(options);
  if (!served) std::fprintf(stderr, "zliar: %s\n", served.error().what.c_str());
  return served ? 0 : 1;
}
