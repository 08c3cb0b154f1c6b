// The daemon.
#include <CLI/CLI.hpp>
#include <string>

#include "store/version.hpp"

int main(int argc, char** argv) {
  CLI::App app{"zerodb-node: one node of a zerodb mesh", "zerodb-node"};
  app.set_version_flag("--version", std::string{zerodb::version()});
  CLI11_PARSE(app, argc, argv);
  return 0;
}
