
#include "tools/zdb_names.hpp"
#include "tools/zdb_print.hpp"
#include "tools/zdb_verbs.hpp"

namespace zerodb::tools {

void run_share(Session& session) {
  const auto& key = session.arguments().names[0];
  if (!check_key(session, key)) return;
  auto client = session.connect();
  if (!client) return;
  const auto link = client->share(key, session.arguments().expires);
  if (!link) return session.failed(key, link.error(), *client);
  print_out("{}\n", *link);
}

}  // namespace zerodb::tools
