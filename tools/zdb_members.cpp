#include "tools/zdb_members.hpp"

#include <fmt/format.h>

#include "tools/terminal.hpp"
#include "tools/zdb_print.hpp"

namespace zerodb::tools {

namespace {

using nlohmann::ordered_json;

constexpr std::size_t short_id = 8;

ordered_json to_json(const Member& member) {
  ordered_json one{{"id", member.id},
                   {"sign_key", member.sign_key},
                   {"name", member.node_name},
                   {"zone", member.zone},
                   {"endpoint", member.endpoint},
                   {"weight", member.weight},
                   {"blind", member.blind},
                   {"here", member.here},
                   {"up", member.up},
                   {"health", member.health},
                   {"draining", member.draining},
                   {"drained", member.drained},
                   {"administers", member.administers},
                   {"refuses", member.refuses}};
  if (member.since_ms_ago) one["since_ms_ago"] = *member.since_ms_ago;
  if (member.heard_ms_ago) one["heard_ms_ago"] = *member.heard_ms_ago;
  return one;
}

std::string health_of(const Member& member) {
  if (member.here) return "here";
  if (member.refuses) return "refuses this node";
  if (!member.heard_ms_ago) return "never heard of";
  const auto since =
      member.since_ms_ago ? " for " + format_seconds(*member.since_ms_ago / 1000) : "";
  return member.health + since;
}

std::string state_of(const Member& member) {
  std::string state = member.drained ? "drained" : member.draining ? "draining" : "active";
  if (member.blind) state += ", blind";
  if (member.administers) state += ", holds the mesh key";
  return state;
}

/// A table: each column as wide as its widest cell, the last one as it comes.
void print_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths(rows.front().size());
  for (const auto& row : rows) {
    for (std::size_t i = 0; i + 1 < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i)
      print_out("{:<{}}{}", row[i], widths[i], i + 1 < row.size() ? "  " : "\n");
  }
}

}  // namespace

ordered_json members_json(const std::vector<Member>& members) {
  auto list = ordered_json::array();
  for (const auto& member : members)
    list.push_back(to_json(member));
  return list;
}

void print_members(const std::vector<Member>& members) {
  std::vector<std::vector<std::string>> rows{
      {"node", "id", "zone", "address", "weight", "health", "state"}};
  for (const auto& member : members) {
    rows.push_back({printable(member.node_name), member.id.substr(0, short_id),
                    printable(member.zone), printable(member.endpoint),
                    std::to_string(member.weight), health_of(member), state_of(member)});
  }
  print_table(rows);
}

void warn_if_removed(Session& session, const client::Status::Reply& status) {
  if (status.removed) {
    return session.warn(
        "this node was removed from the mesh, and what it stores counts for nothing: stop it; to "
        "return, the machine must join anew with an empty data folder");
  }
  const auto refusing = std::ranges::count(status.members, true, &Member::refuses);
  if (refusing == 0) return;
  session.warn(fmt::format("{} of {} other nodes refuse this one: was it removed from the mesh?",
                           refusing, status.members.size() - 1));
}

}  // namespace zerodb::tools
