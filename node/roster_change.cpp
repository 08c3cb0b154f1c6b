#include "node/roster_change.hpp"

#include <algorithm>

#include "store/fields.hpp"
#include "store/hash.hpp"

namespace zerodb {

namespace {

constexpr std::size_t name_bytes_max = 64;

ChangeId id_of(RosterChange change, const RosterHash& base) {
  change.id = {};
  return hash_to<ChangeId>("zerodb change", {base.view(), fields::encode(change)});
}

Status add_member(Roster& roster, const RosterMember& member) {
  if (roster.members.size() >= members_max) {
    return fail(Errc::invalid,
                "the mesh has " + std::to_string(members_max) + " members, and takes no more");
  }
  if (roster.find_name(member.name) != nullptr) {
    return fail(Errc::invalid, "the mesh has a node named '" + printable(member.name) +
                                   "' already: choose another with --name");
  }
  roster.members.push_back(member);
  return {};
}

Status apply(Roster& roster, const RosterChange& change) {
  if (change.added) return add_member(roster, *change.added);
  const auto found = std::ranges::find(roster.members, change.node, &RosterMember::node);
  if (found == roster.members.end()) {
    return fail(Errc::not_found, change.node.short_hex() + " is not a member");
  }
  if (change.draining) found->draining = *change.draining;
  if (change.zone) found->zone = *change.zone;
  if (change.weight) found->weight = *change.weight;
  if (change.removed) roster.members.erase(found);
  return {};
}

void remember(Roster& roster, RosterChange change) {
  roster.changes.push_back(std::move(change));
  if (roster.changes.size() > changes_kept) roster.changes.erase(roster.changes.begin());
}

bool knows(const Roster& roster, const RosterChange& change) {
  return std::ranges::find(roster.changes, change.id, &RosterChange::id) != roster.changes.end();
}

/// `name`, or the first of name-2, name-3 ... that is free.
std::string free_name(const Roster& roster, const std::string& name) {
  auto free = name;
  for (std::size_t number = 2; roster.find_name(free) != nullptr; ++number) {
    const auto ending = "-" + std::to_string(number);
    free = name.substr(0, name_bytes_max - ending.size()) + ending;
  }
  return free;
}

}  // namespace

Result<Roster> with_change(const SignedRoster& roster, RosterChange change) {
  auto next = roster.roster();
  if (auto applied = apply(next, change); !applied) return fail(std::move(applied.error()));
  next.version += 1;
  change.id = id_of(change, roster.hash());
  remember(next, std::move(change));
  return next;
}

std::vector<RosterChange> lost_changes(const Roster& left, const Roster& standing) {
  const auto last_known = std::find_if(left.changes.rbegin(), left.changes.rend(),
                                       [&](const auto& change) { return knows(standing, change); });
  const bool has_common = last_known != left.changes.rend();
  if (!has_common && standing.changes.size() == changes_kept) return {};
  return {last_known.base(), left.changes.end()};
}

std::optional<Roster> with_lost_changes(const SignedRoster& roster,
                                        const std::vector<RosterChange>& changes) {
  auto next = roster.roster();
  bool changed = false;
  for (auto change : changes) {
    if (change.added && next.find(change.node) != nullptr) continue;
    if (change.added) change.added->name = free_name(next, change.added->name);
    if (change.removed && next.members.size() == 1) continue;
    if (!apply(next, change)) continue;
    remember(next, std::move(change));
    changed = true;
  }
  if (!changed) return std::nullopt;
  next.version += 1;
  return next;
}

std::string describe(const RosterChange& change, const Roster& roster) {
  const auto* member = change.added ? &*change.added : roster.find(change.node);
  auto text = (member != nullptr ? member->name + " " : std::string()) + "(" +
              change.node.short_hex() + ")";
  if (change.added) text += " joins";
  if (change.removed) text += " is removed";
  if (change.draining) text += *change.draining ? " drains" : " drains no longer";
  if (change.zone) text += " is in zone '" + *change.zone + "'";
  if (change.weight) text += " has weight " + std::to_string(*change.weight);
  return text;
}

Result<RosterMember> find_member(const Roster& roster, std::string_view name) {
  if (const auto* named = roster.find_name(name)) return *named;
  const auto shown = "'" + printable(name) + "'";
  std::vector<const RosterMember*> found;
  for (const auto& member : roster.members) {
    if (!name.empty() && member.node.hex().starts_with(name)) found.push_back(&member);
  }
  if (found.size() == 1) return *found.front();
  if (found.empty()) {
    return fail(Errc::not_found, "no node of the mesh is named " + shown +
                                     ", nor does the id of one begin so: see zdb node list");
  }
  return fail(Errc::invalid, "the ids of " + std::to_string(found.size()) + " nodes, " +
                                 found[0]->name + " and " + found[1]->name +
                                 " among them, begin with " + shown + ": give more of it");
}

}  // namespace zerodb
