#include <fmt/format.h>
#include <unistd.h>

#include "tools/terminal.hpp"
#include "tools/zdb_json.hpp"
#include "tools/zdb_print.hpp"
#include "tools/zdb_recovery.hpp"
#include "tools/zdb_verbs.hpp"

namespace zerodb::tools {

namespace {

using nlohmann::ordered_json;
using Entry = client::ClientList::Entry;

/// What a node refuses as wrong was wrong to ask for.
ExitCode code_of(const Error& error) {
  return error.code == Errc::invalid ? ExitCode::usage : exit_code_of(error.code);
}

ordered_json to_json(const Entry& entry) {
  ordered_json one{{"name", entry.client_name}, {"key", entry.key},
                   {"read", entry.read},        {"write", entry.write},
                   {"delete", entry.remove},    {"created_ms", entry.created_ms},
                   {"expired", entry.expired}};
  if (entry.expires_ms) one["expires_ms"] = *entry.expires_ms;
  return one;
}

std::string rights_of(const Entry& entry) {
  std::string text;
  const auto add = [&text](const char* right, const std::vector<std::string>& prefixes) {
    for (const auto& prefix : prefixes)
      text += fmt::format("{}{} '{}'", text.empty() ? "" : ", ", right, printable(prefix));
  };
  add("read", entry.read);
  add("write", entry.write);
  add("delete", entry.remove);
  return text;
}

void print_entry(const Entry& entry) {
  const auto time = [](std::uint64_t ms) { return format_time(static_cast<std::int64_t>(ms)); };
  const auto ends = !entry.expires_ms ? std::string("never expires")
                    : entry.expired   ? "expired " + time(*entry.expires_ms)
                                      : "expires " + time(*entry.expires_ms);
  print_out("{}  {}  (made {}, {})\n", shown(entry.client_name, STDOUT_FILENO), rights_of(entry),
            time(entry.created_ms), ends);
}

}  // namespace

void run_client_add(Session& session) {
  const auto& arguments = session.arguments();
  auto to = open_secret(arguments);
  if (!to) return session.failed("", to.error());
  auto client = session.connect();
  if (!client) return;
  client::ClientAdd request{.client_name = arguments.names.front(),
                            .read = arguments.read,
                            .write = arguments.write,
                            .remove = arguments.remove};
  if (arguments.expires_given) {
    request.expires_s = static_cast<std::uint64_t>(arguments.expires.count());
  }
  const auto credential = client->client_add(std::move(request));
  if (!credential && !client->lost()) {
    return session.failed("", credential.error().what, code_of(credential.error()));
  }
  const auto revoke = "zdb client revoke " + printable(arguments.names.front());
  if (!write_secret(session, *client, *to, credential)) {
    if (credential) session.warn("nobody has the credential, but it lets in; so: " + revoke);
    return;
  }
  session.tell(
      "For one program on another machine: zdb --remote @FILE ..., with this line in FILE\n"
      "Whoever has the line can do what it allows, until: " +
      revoke);
}

void run_client_list(Session& session) {
  auto client = session.connect();
  if (!client) return;
  std::vector<Entry> all;
  for (bool more = true; more;) {
    auto page = client->client_list(all.empty() ? std::string() : all.back().client_name);
    if (!page) return session.failed("", page.error(), *client);
    more = page->more && !page->entries.empty();
    std::move(page->entries.begin(), page->entries.end(), std::back_inserter(all));
  }
  if (!session.arguments().json) {
    for (const auto& entry : all)
      print_entry(entry);
    return;
  }
  auto document = ordered_json::array();
  for (const auto& entry : all)
    document.push_back(to_json(entry));
  print_document(document);
}

void run_client_revoke(Session& session) {
  auto client = session.connect();
  if (!client) return;
  const auto revoked = client->client_revoke(session.arguments().names.front());
  if (!revoked) session.failed("", revoked.error(), *client);
}

}  // namespace zerodb::tools
