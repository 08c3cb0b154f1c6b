#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "tools/terminal.hpp"
#include "tools/zdb_json.hpp"
#include "tools/zdb_members.hpp"
#include "tools/zdb_print.hpp"
#include "tools/zdb_verbs.hpp"

namespace zerodb::tools {

namespace {

using nlohmann::ordered_json;

constexpr std::chrono::milliseconds poll_interval{500};

/// What a node refuses as wrong was wrong to ask for.
void report(Session& session, const BusClient& client, const Error& error) {
  if (client.lost() || error.code != Errc::invalid) return session.failed("", error, client);
  session.failed("", error.what, ExitCode::usage);
}

/// Says what became of a change; false if nothing did.
bool report(Session& session, const BusClient& client, const Result<client::NodeChanged>& changed,
            const std::string& what) {
  if (!changed) {
    report(session, client, changed.error());
    return false;
  }
  session.summarize(fmt::format("{} ({}) {}{}", printable(changed->node_name),
                                changed->node.substr(0, 8), what,
                                changed->changed ? "" : ", as before"));
  if (!changed->note.empty()) session.warn(printable(changed->note));
  return true;
}

std::string done(const Member& member) {
  return fmt::format(
      "{} is drained: nothing is left on it that the others need; next: zdb node "
      "remove {}",
      printable(member.node_name), printable(member.node_name));
}

/// For people who watch: what the node that answers still has to hand over, if it is that one.
std::string left_on(const client::Status::Reply& status, const Member& member) {
  if (!member.here) return "waiting until nothing is left on " + printable(member.node_name);
  return fmt::format("{} left in {} partitions", format_bytes(status.move.hand_over_bytes),
                     status.move.hand_over_partitions);
}

/// Until the member with that id is drained, or it cannot be any more.
void wait_until_drained(Session& session, BusClient& client, const std::string& id) {
  bool told_down = false;
  std::string told;
  for (;; std::this_thread::sleep_for(poll_interval)) {
    const auto status = client.status();
    if (!status) return session.failed("", status.error(), client);
    const auto member = std::ranges::find(status->members, id, &Member::id);
    if (member == status->members.end()) {
      return session.failed("", "the node was removed meanwhile", ExitCode::failed);
    }
    if (member->drained) return session.summarize(done(*member));
    if (!member->draining) {
      return session.failed("",
                            printable(member->node_name) +
                                " drains no longer: someone "
                                "changed that meanwhile",
                            ExitCode::failed);
    }
    const auto left = left_on(*status, *member);
    if (left != std::exchange(told, left)) session.tell(left);
    if (!member->up && !std::exchange(told_down, true)) {
      session.warn(printable(member->node_name) +
                   " is down, and hands nothing over until it is back; the others make new copies "
                   "of what they hold");
    }
  }
}

void set_draining(Session& session, bool draining) {
  auto client = session.connect();
  if (!client) return;
  const auto& arguments = session.arguments();
  const auto changed = client->node_set({.node = arguments.names.front(), .draining = draining});
  if (!report(session, *client, changed, draining ? "drains" : "holds data")) return;
  if (arguments.wait) wait_until_drained(session, *client, changed->node);
}

}  // namespace

void run_node_list(Session& session) {
  auto client = session.connect();
  if (!client) return;
  const auto status = client->status();
  if (!status) return session.failed("", status.error(), *client);
  warn_if_removed(session, *status);
  if (!session.arguments().json) return print_members(status->members);
  print_document(members_json(status->members));
}

void run_node_drain(Session& session) {
  set_draining(session, true);
}

void run_node_undrain(Session& session) {
  set_draining(session, false);
}

void run_node_remove(Session& session) {
  auto client = session.connect();
  if (!client) return;
  const auto& arguments = session.arguments();
  const auto changed =
      client->node_remove({.node = arguments.names.front(), .force = arguments.force});
  report(session, *client, changed, "is a member no more");
}

void run_node_set(Session& session) {
  auto client = session.connect();
  if (!client) return;
  const auto& arguments = session.arguments();
  const auto changed = client->node_set(
      {.node = arguments.names.front(), .zone = arguments.zone, .weight = arguments.weight});
  report(session, *client, changed, "is set");
}

}  // namespace zerodb::tools
