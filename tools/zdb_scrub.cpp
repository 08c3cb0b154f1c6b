#include <fmt/format.h>

#include "tools/terminal.hpp"
#include "tools/zdb_json.hpp"
#include "tools/zdb_print.hpp"
#include "tools/zdb_verbs.hpp"

namespace zerodb::tools {

namespace {

using Report = client::Scrub::Reply;

void print_json(const Report& report) {
  const nlohmann::ordered_json document{{"walking", report.walking},
                                        {"repairing", report.repairing},
                                        {"done_per_mille", report.done_per_mille},
                                        {"versions", report.versions},
                                        {"bytes", report.bytes},
                                        {"found", report.found},
                                        {"repaired", report.repaired},
                                        {"orphans", report.orphans},
                                        {"damaged", report.damaged},
                                        {"started_ms", report.started_ms},
                                        {"finished_ms", report.finished_ms},
                                        {"trouble", report.trouble}};
  print_document(document);
}

std::string what_was_seen(const Report& report) {
  return fmt::format(
      "{} objects, {} verified; {} damaged or missing, {} repaired, {} stray files put aside",
      report.versions, format_bytes(report.bytes), report.found, report.repaired, report.orphans);
}

std::string when(std::uint64_t ms) {
  return ms == 0 ? "never" : format_time(static_cast<std::int64_t>(ms));
}

void print_text(const Report& report) {
  if (report.walking) {
    print_out("walking: {:.1f}%, since {}\n", static_cast<double>(report.done_per_mille) / 10,
              when(report.started_ms));
  }
  print_out("{}: {}\n", report.walking ? "so far" : "last walk", what_was_seen(report));
  print_out("finished: {}\n", when(report.finished_ms));
  if (report.damaged > 0) print_out("waiting for repair: {}\n", report.damaged);
}

/// Until the walk and the repairs after it have ended; nothing if the node went away.
std::optional<Report> wait_for_end(Session& session, BusClient& client, Report report) {
  std::uint32_t told = 0;
  while (report.walking || report.repairing) {
    constexpr std::uint32_t step_per_mille = 100;
    if (report.walking && report.done_per_mille >= told + step_per_mille) {
      told = report.done_per_mille;
      session.tell(fmt::format("{}%: {}", told / 10, what_was_seen(report)));
    }
    auto next = client.scrub(false, true);
    if (!next) {
      session.failed("", next.error(), client);
      return std::nullopt;
    }
    report = std::move(*next);
  }
  return report;
}

}  // namespace

void run_scrub(Session& session) {
  auto client = session.connect();
  if (!client) return;
  const auto& arguments = session.arguments();
  const auto begun = client->scrub(arguments.now, false);
  if (!begun) return session.failed("", begun.error(), *client);
  std::optional<Report> report = *begun;
  const bool wait = arguments.now && !arguments.no_wait;
  if (wait) report = wait_for_end(session, *client, *begun);
  if (!report) return;
  if (arguments.json)
    print_json(*report);
  else
    print_text(*report);
  if (wait && report->damaged > 0) {
    session.failed(
        "scrub",
        fmt::format("{} objects are damaged here and could not be repaired yet: {}; it is "
                    "tried again when other nodes come up",
                    report->damaged, report->trouble),
        ExitCode::damaged);
  }
}

}  // namespace zerodb::tools
