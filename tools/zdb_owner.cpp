#include <fmt/format.h>
#include <unistd.h>

#include "tools/terminal.hpp"
#include "tools/zdb_files.hpp"
#include "tools/zdb_verbs.hpp"

namespace zerodb::tools {

namespace {

constexpr std::size_t recovery_text_bytes_max = 4096;

void print_text(Session& session, const Client& client, const Result<std::string>& text) {
  if (!text) return session.failed("", text.error(), client);
  fmt::print("{}{}", *text, text->ends_with('\n') ? "" : "\n");
}

/// A person ends the text with an empty line, a file with its end.
bool is_all(const std::string& text, bool asked) {
  return asked && text.ends_with("\n\n");
}

Result<std::string> read_recovery_text(const std::filesystem::path& path) {
  auto file = InputFile::open(path);
  if (!file) return fail(std::move(file.error()));
  const bool asked = path == "-" && is_terminal(STDIN_FILENO);
  if (asked) fmt::print(stderr, "Recovery text, then an empty line:\n");
  std::string text;
  Bytes buffer(recovery_text_bytes_max + 1);
  while (text.size() <= recovery_text_bytes_max && !is_all(text, asked)) {
    const auto count = file->read(buffer);
    if (!count && count.error().code == Errc::busy) continue;
    if (!count) return fail(count.error());
    if (*count == 0) return text;
    text += as_text(ByteView(buffer).first(*count));
  }
  if (text.size() <= recovery_text_bytes_max) return text;
  return fail(Errc::invalid, printable(path.string()) + ": is too long for a recovery text");
}

}  // namespace

void run_invite(Session& session) {
  auto client = session.connect();
  if (!client) return;
  const auto& arguments = session.arguments();
  const auto expires = static_cast<std::uint64_t>(arguments.expires.count());
  const auto ticket = client->invite({.share_owner = arguments.share_owner, .expires_s = expires});
  print_text(session, *client, ticket);
  if (!ticket) return;
  session.tell(fmt::format(
      "For one machine, within {}: zerodb-node join TICKET --data DIR{}", format_seconds(expires),
      arguments.share_owner ? "\nIt holds the owner's key: give it to nobody else." : ""));
}

void run_owner_id(Session& session) {
  auto client = session.connect();
  if (client) print_text(session, *client, client->owner_id());
}

void run_owner_export(Session& session) {
  auto client = session.connect();
  if (!client) return;
  const auto text = client->owner_export();
  if (text) {
    session.summarize(
        "zdb: whoever has this text can read, change and delete your files: keep it on paper, "
        "away from the machines");
  }
  print_text(session, *client, text);
}

void run_owner_import(Session& session) {
  const auto& arguments = session.arguments();
  auto client = session.connect();
  if (!client) return;
  const auto text =
      read_recovery_text(arguments.names.empty() ? std::string("-") : arguments.names.front());
  if (!text) return session.failed("", text.error());
  print_text(session, *client, client->owner_import(*text, arguments.replace));
}

}  // namespace zerodb::tools
