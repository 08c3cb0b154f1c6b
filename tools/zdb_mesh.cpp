#include "tools/zdb_recovery.hpp"
#include "tools/zdb_verbs.hpp"

namespace zerodb::tools {

void run_mesh_export(Session& session) {
  auto to = open_secret(session.arguments());
  if (!to) return session.failed("", to.error());
  auto client = session.connect();
  if (!client) return;
  const auto text = client->mesh_export();
  if (text) {
    session.summarize(
        "zdb: whoever has this text can add nodes to your mesh and remove them: keep it on paper, "
        "away from the machines");
  }
  write_secret(session, *client, *to, text);
}

void run_mesh_import(Session& session) {
  auto client = session.connect();
  if (!client) return;
  const auto text = read_recovery_text(session.arguments());
  if (!text) return session.failed("", text.error());
  print_text(session, *client, client->mesh_import(*text));
}

}  // namespace zerodb::tools
