// The command line client.
#include <CLI/CLI.hpp>
#include <string>

#include "store/version.hpp"

int main(int argc, char** argv) {
  CLI::App app{"zdb: keep files in a zerodb mesh", "zdb"};
  app.set_version_flag("--version", std::string{zerodb::version()});
  CLI11_PARSE(app, argc, argv);
  return 0;
}
