#include <fmt/format.h>
#include <unistd.h>

#include "tools/terminal.hpp"
#include "tools/zdb_json.hpp"
#include "tools/zdb_members.hpp"
#include "tools/zdb_print.hpp"
#include "tools/zdb_verbs.hpp"

namespace zerodb::tools {

namespace {

using nlohmann::ordered_json;

ordered_json to_json(const client::Status::Move& move) {
  ordered_json one{{"waits_for", move.waits_for},
                   {"take_over_partitions", move.take_over_partitions},
                   {"take_over_bytes", move.take_over_bytes},
                   {"hand_over_partitions", move.hand_over_partitions},
                   {"hand_over_bytes", move.hand_over_bytes},
                   {"bytes_per_s", move.bytes_per_s}};
  if (move.eta_s) one["eta_s"] = *move.eta_s;
  return one;
}

ordered_json to_json(const client::Status::Reply& status) {
  ordered_json document{{"program_version", status.program_version},
                        {"mesh", status.mesh},
                        {"owner", status.owner},
                        {"roster_version", status.roster_version},
                        {"mesh_key", status.mesh_key},
                        {"removed", status.removed},
                        {"replicas", status.replicas},
                        {"write_quorum", status.write_quorum},
                        {"objects", status.objects},
                        {"tombstones", status.tombstones},
                        {"blob_bytes", status.blob_bytes},
                        {"free_bytes", status.free_bytes},
                        {"total_bytes", status.total_bytes},
                        {"uploads", status.uploads},
                        {"uptime_s", status.uptime_s},
                        {"disk_suspect", status.disk_suspect},
                        {"superseded", status.superseded},
                        {"superseded_bytes", status.superseded_bytes},
                        {"read_only", status.read_only},
                        {"damaged", status.damaged},
                        {"index_rebuilt", status.index_rebuilt},
                        {"index_damaged", status.index_damaged},
                        {"quarantine_files", status.quarantine_files},
                        {"quarantine_bytes", status.quarantine_bytes},
                        {"chunks_damaged", status.chunks_damaged},
                        {"chunks_hedged", status.chunks_hedged},
                        {"puts_timed", status.puts_timed},
                        {"put_p50_us", status.put_p50_us},
                        {"put_p99_us", status.put_p99_us},
                        {"move", to_json(status.move)}};
  if (status.client_endpoint) document["client_endpoint"] = *status.client_endpoint;
  document["members"] = members_json(status.members);
  return document;
}

void print_line(const char* name, const std::string& value) {
  print_out("{:<10} {}\n", name, value);
}

/// What a change of the roster leaves to be moved, on this node and elsewhere.
void print_move(const client::Status::Move& move) {
  if (move.take_over_partitions > 0) {
    auto text =
        fmt::format("{} in {} partitions to fetch, {}/s", format_bytes(move.take_over_bytes),
                    move.take_over_partitions, format_bytes(move.bytes_per_s));
    if (move.eta_s) text += ", done in about " + format_seconds(*move.eta_s);
    print_line("take over", text);
  }
  if (move.hand_over_partitions > 0) {
    print_line("hand over",
               fmt::format("{} in {} partitions, until others confirm that they hold it",
                           format_bytes(move.hand_over_bytes), move.hand_over_partitions));
  }
  if (move.waits_for.empty()) return;
  std::string names;
  for (const auto& name : move.waits_for)
    names += (names.empty() ? "" : ", ") + printable(name);
  print_line("move", "not over: waits for " + names);
}

void print_health(const client::Status::Reply& status) {
  if (!status.read_only.empty()) print_line("read-only", printable(status.read_only));
  if (status.damaged > 0) {
    print_line("damaged",
               fmt::format("{} objects wait for repair; see: zdb scrub", status.damaged));
  }
  if (status.quarantine_files > 0) {
    print_line("put aside",
               fmt::format("{} files, {}, in store/quarantine", status.quarantine_files,
                           format_bytes(status.quarantine_bytes)));
  }
  if (status.index_damaged)
    print_line("index", "damaged; restart the node, which makes it anew");
  else if (status.index_rebuilt)
    print_line("index", "made anew at this start: it was lost or damaged");
}

void print_node(const client::Status::Reply& status) {
  print_line("version", status.program_version);
  print_line("mesh", status.mesh + (status.mesh_key ? " (this node holds its key)" : ""));
  print_line("owner", status.owner.empty() ? "none: a blind node" : status.owner);
  print_line("copies", fmt::format("{}, {} of them before a put or delete is acknowledged",
                                   status.replicas, status.write_quorum));
  print_line("keeps", fmt::format("{} objects, {}; {} tombstones", status.objects,
                                  format_bytes(status.blob_bytes), status.tombstones));
  print_line("disk", fmt::format("{} free of {}", format_bytes(status.free_bytes),
                                 format_bytes(status.total_bytes)));
  if (status.superseded > 0) {
    print_line("to sweep", fmt::format("{} older versions, {}", status.superseded,
                                       format_bytes(status.superseded_bytes)));
  }
  if (status.client_endpoint) print_line("clients", printable(*status.client_endpoint));
  print_move(status.move);
  print_health(status);
  if (status.uploads > 0) print_line("uploads", std::to_string(status.uploads));
  if (status.puts_timed > 0) {
    print_line("small puts", fmt::format("half within {:.1f} ms, 99 in 100 within {:.1f} ms",
                                         static_cast<double>(status.put_p50_us) / 1000,
                                         static_cast<double>(status.put_p99_us) / 1000));
  }
  print_line("running", format_seconds(status.uptime_s));
}

}  // namespace

void run_status(Session& session) {
  auto client = session.connect();
  if (!client) return;
  const auto status = client->status();
  if (!status) return session.failed("", status.error(), *client);
  if (status->disk_suspect) {
    session.warn(
        "this node's disk failed to keep what was written: it accepts nothing until it is checked "
        "and the node restarted");
  }
  warn_if_removed(session, *status);
  if (session.arguments().json) return print_document(to_json(*status));
  print_node(*status);
  print_out("\n");
  print_members(status->members);
}

}  // namespace zerodb::tools
