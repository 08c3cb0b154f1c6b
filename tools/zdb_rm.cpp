#include <fmt/format.h>

#include "tools/zdb_verbs.hpp"
#include "tools/zdb_workers.hpp"

namespace zerodb::tools {

namespace {

void remove_all(Session& session, const std::vector<std::string>& keys) {
  std::atomic<std::size_t> removed{0};
  for_each_at_once(session, keys.size(), [&](BusClient& client, std::size_t i) {
    const auto& key = keys[i];
    if (!check_key(session, key)) return;
    const auto outcome = client.remove(key, session.arguments().if_version);
    if (!outcome) return session.failed(key, outcome.error(), client);
    session.check_copies(key, *outcome);
    ++removed;
  });
  session.tell(fmt::format("deleted {} object{}", removed.load(), removed == 1 ? "" : "s"));
}

void remove_recursively(Session& session) {
  const auto& names = session.arguments().names;
  const auto& prefix = names.front();
  if (names.size() != 1 || !prefix.ends_with('/')) {
    return session.failed("", "-r needs one prefix, which ends in '/'; use: zdb rm -r PREFIX/",
                          ExitCode::usage);
  }
  auto client = session.connect();
  if (!client) return;
  const auto entries = list_some(session, *client, prefix);
  if (!entries) return;
  std::vector<std::string> keys;
  for (const auto& entry : *entries)
    keys.push_back(entry.key);
  remove_all(session, keys);
}

}  // namespace

void run_rm(Session& session) {
  if (session.arguments().recursive) return remove_recursively(session);
  const auto& keys = session.arguments().names;
  if (keys.size() > 1 && session.arguments().if_version) {
    return session.failed("", "--if-version: is for one object", ExitCode::usage);
  }
  if (keys.size() == 1 && !check_key(session, keys.front())) return;
  remove_all(session, keys);
}

}  // namespace zerodb::tools
