#include <fmt/format.h>

#include "tools/terminal.hpp"
#include "tools/zdb_recovery.hpp"
#include "tools/zdb_verbs.hpp"

namespace zerodb::tools {

void run_invite(Session& session) {
  const auto& arguments = session.arguments();
  auto to = open_secret(arguments);
  if (!to) return session.failed("", to.error());
  auto client = session.connect();
  if (!client) return;
  const auto expires = static_cast<std::uint64_t>(arguments.expires.count());
  const auto ticket = client->invite({.share_owner = arguments.share_owner, .expires_s = expires});
  if (!write_secret(session, *client, *to, ticket)) return;
  session.tell(fmt::format(
      "For one machine, within {}: zerodb-node join - --data DIR, which asks for it{}",
      format_seconds(expires),
      arguments.share_owner ? "\nIt holds the owner's key: give it to nobody else." : ""));
}

void run_owner_id(Session& session) {
  auto client = session.connect();
  if (client) print_text(session, *client, client->owner_id());
}

void run_owner_export(Session& session) {
  auto to = open_secret(session.arguments());
  if (!to) return session.failed("", to.error());
  auto client = session.connect();
  if (!client) return;
  const auto text = client->owner_export();
  if (text) {
    session.summarize(
        "zdb: whoever has this text can read, change and delete your files: keep it on paper, "
        "away from the machines");
  }
  write_secret(session, *client, *to, text);
}

void run_owner_import(Session& session) {
  const auto& arguments = session.arguments();
  auto client = session.connect();
  if (!client) return;
  const auto text = read_recovery_text(arguments);
  if (!text) return session.failed("", text.error());
  print_text(session, *client, client->owner_import(*text, arguments.replace));
}

}  // namespace zerodb::tools
