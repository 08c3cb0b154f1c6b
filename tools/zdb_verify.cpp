#include <fmt/format.h>
#include <unistd.h>

#include "tools/terminal.hpp"
#include "tools/zdb_files.hpp"
#include "tools/zdb_json.hpp"
#include "tools/zdb_print.hpp"
#include "tools/zdb_receipts.hpp"
#include "tools/zdb_verbs.hpp"

namespace zerodb::tools {

namespace {

using nlohmann::ordered_json;
using Report = client::Verify::Reply;

// ------------------------------------------------------------------------------------- an object

std::size_t count_in_state(const Report& report, std::string_view state) {
  return static_cast<std::size_t>(
      std::ranges::count(report.nodes, state, &client::Verify::Node::state));
}

void print_json(const Report& report) {
  auto nodes = ordered_json::array();
  for (const auto& node : report.nodes) {
    ordered_json one{{"id", node.id}, {"name", node.node_name}, {"state", node.state}};
    if (node.ms) one["ms"] = *node.ms;
    if (!node.what.empty()) one["what"] = node.what;
    nodes.push_back(std::move(one));
  }
  print_document({{"key", report.key},
                  {"version", report.version},
                  {"size", report.size},
                  {"chunks", report.chunks},
                  {"chunks_asked", report.chunks_asked},
                  {"moving", report.moving},
                  {"holds", count_in_state(report, "holds")},
                  {"nodes", std::move(nodes)}});
}

void print_text(const Report& report) {
  for (const auto& node : report.nodes) {
    const auto time = node.ms ? std::to_string(*node.ms) + " ms" : "-";
    print_out("{:<20} {:<12} {:>8}  {}\n", printable(node.node_name), printable(node.state), time,
              printable(node.what));
  }
  print_out("{} of {} nodes proved that they hold {}: {}, {} of {} chunks\n",
            count_in_state(report, "holds"), report.nodes.size(), shown(report.key, STDOUT_FILENO),
            format_bytes(report.size), report.chunks_asked, report.chunks);
}

/// What is wrong, by node; empty if all is well.
void complain(Session& session, const Report& report) {
  std::string wrong;
  std::string silent;
  for (const auto& node : report.nodes) {
    if (node.state == "holds") continue;
    auto& list = node.state == "unreachable" ? silent : wrong;
    list += (list.empty() ? "" : "; ") + printable(node.node_name) + ": " + printable(node.state) +
            (node.what.empty() ? "" : ", " + printable(node.what));
  }
  const auto* moving =
      report.moving ? " (placement is changing: a node may be about to fetch it)" : "";
  if (!wrong.empty()) session.failed(report.key, wrong + moving, ExitCode::damaged);
  if (!silent.empty()) session.failed(report.key, silent + moving, ExitCode::unreachable);
}

void verify_object(Session& session, const std::string& key) {
  if (!check_key(session, key)) return;
  auto client = session.connect();
  if (!client) return;
  const auto report = client->verify(key);
  if (!report) return session.failed(key, report.error(), *client);
  if (session.arguments().json)
    print_json(*report);
  else
    print_text(*report);
  complain(session, *report);
}

// ---------------------------------------------------------------------------------- a file of
// receipts

constexpr std::size_t receipts_file_bytes_max = 1 << 20;

Result<std::string> read_text(const std::string& path) {
  auto file = InputFile::open(path);
  if (!file) return fail(std::move(file.error()));
  std::string text(receipts_file_bytes_max + 1, '\0');
  std::size_t filled = 0;
  while (filled < text.size()) {
    const auto room = std::span(text).subspan(filled);
    const auto got = file->read({reinterpret_cast<std::uint8_t*>(room.data()), room.size()});
    if (!got && got.error().code == Errc::busy) continue;
    if (!got) return fail(Error(got.error()));
    if (*got == 0) break;
    filled += *got;
  }
  if (filled > receipts_file_bytes_max) return fail(Errc::invalid, "is no file of receipts");
  text.resize(filled);
  return text;
}

void print_json(const CheckedReceipts& checked) {
  auto receipts = ordered_json::array();
  for (const auto& one : checked.receipts) {
    receipts.push_back({{"node", one.node},
                        {"node_name", one.node_name},
                        {"sign_key", one.sign_key},
                        {"time_ms", one.time_ms},
                        {"valid", one.good}});
  }
  print_document({{"key", checked.key},
                  {"owner", checked.owner},
                  {"version", checked.version},
                  {"size", checked.size},
                  {"deletion", checked.deletion},
                  {"valid", checked.good},
                  {"receipts", std::move(receipts)}});
}

void print_text(const CheckedReceipts& checked) {
  for (const auto& one : checked.receipts) {
    print_out("{:<20} {:<8} {}  {}\n", printable(one.node_name), one.good ? "valid" : "FORGED",
              format_time(static_cast<std::int64_t>(one.time_ms)), printable(one.node));
    print_out("{:<20} {:<8} signed with {}\n", "", "", printable(one.sign_key));
  }
  print_out("{} valid receipts for {}{}, version {}, of owner {}\n", checked.good,
            checked.deletion ? "the deletion of " : "", shown(checked.key, STDOUT_FILENO),
            checked.version, checked.owner);
}

void verify_receipts(Session& session, const std::string& path) {
  const auto text = read_text(path);
  if (!text) return session.failed(path, text.error());
  const auto checked = check_receipts(*text);
  if (!checked) return session.failed(path, checked.error());
  if (session.arguments().json)
    print_json(*checked);
  else
    print_text(*checked);
  const auto forged = checked->receipts.size() - checked->good;
  if (forged > 0) {
    session.failed(
        path,
        fmt::format("{} of {} receipts are forged or damaged", forged, checked->receipts.size()),
        ExitCode::damaged);
  } else if (checked->good == 0) {
    session.failed(path, "holds no receipt", ExitCode::damaged);
  }
}

}  // namespace

void run_verify(Session& session) {
  const auto& arguments = session.arguments();
  if (arguments.receipts) return verify_receipts(session, *arguments.receipts);
  verify_object(session, arguments.names.front());
}

}  // namespace zerodb::tools
