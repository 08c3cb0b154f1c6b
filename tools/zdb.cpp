// zdb, the command line client.
#include <array>
#include <string_view>
#include <utility>

#include "bus/standard_streams.hpp"
#include "tools/kept_memory.hpp"
#include "tools/zdb_arguments.hpp"
#include "tools/zdb_print.hpp"
#include "tools/zdb_verbs.hpp"

namespace {

using namespace zerodb;
using namespace zerodb::tools;

using Verb = std::pair<std::string_view, void (*)(Session&)>;

constexpr auto verbs = std::to_array<Verb>({
    {"put", run_put},
    {"get", run_get},
    {"ls", run_ls},
    {"stat", run_stat},
    {"rm", run_rm},
    {"share", run_share},
    {"watch", run_watch},
    {"status", run_status},
    {"scrub", run_scrub},
    {"verify", run_verify},
    {"invite", run_invite},
    {"owner id", run_owner_id},
    {"owner export", run_owner_export},
    {"owner import", run_owner_import},
    {"node list", run_node_list},
    {"node drain", run_node_drain},
    {"node undrain", run_node_undrain},
    {"node remove", run_node_remove},
    {"node set", run_node_set},
    {"mesh export", run_mesh_export},
    {"mesh import", run_mesh_import},
    {"client add", run_client_add},
    {"client list", run_client_list},
    {"client revoke", run_client_revoke},
});

ExitCode run(const Arguments& arguments) {
  Session session(arguments);
  for (const auto& [name, verb] : verbs) {
    if (name == arguments.verb) verb(session);
  }
  if (auto written = flush_stdout(); !written) session.failed("", written.error());
  return session.exit_code();
}

}  // namespace

int main(int argc, char** argv) {
  hold_standard_streams();
  keep_freed_memory();
  const auto parsed = parse_arguments(argc, argv);
  return static_cast<int>(parsed.arguments ? run(*parsed.arguments) : parsed.exit_code);
}
