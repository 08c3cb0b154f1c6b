#include "node/mesh.hpp"

#include <spdlog/spdlog.h>

namespace zerodb {

namespace {

/// Those of `nodes` that are members.
std::vector<NodeId> members_among(const std::vector<NodeId>& nodes, const Roster& roster) {
  std::vector<NodeId> members;
  for (const auto& node : nodes) {
    if (roster.find(node) != nullptr) members.push_back(node);
  }
  return members;
}

/// Two administrators may each have made a roster of one version. To be settled under the other one
/// is worth no more than to be settled under the version before.
std::uint64_t settled_version_under(const SignedRoster& standing, const SignedRoster& settled) {
  if (settled.hash() == standing.hash()) return standing->version;
  return std::min(settled->version, standing->version - 1);
}

}  // namespace

std::uint64_t oldest_in_force(const SignedRoster& latest, const std::vector<SignedRoster>& older) {
  auto oldest = latest->version;
  for (const auto& roster : older)
    oldest = std::min(oldest, roster->version);
  return oldest;
}

// ------------------------------------------------------------------------------------------ work

Mesh::Work::Work(std::shared_ptr<WorkList> list, std::uint64_t version)
    : list_(std::move(list)), version_(version) {
  for (auto& [known, count] : list_->counts) {
    if (known != version) continue;
    ++count;
    return;
  }
  list_->counts.emplace_back(version, 1);
}

Mesh::Work& Mesh::Work::operator=(Work&& other) noexcept {
  end();
  list_ = std::move(other.list_);
  version_ = other.version_;
  return *this;
}

void Mesh::Work::end() {
  const auto list = std::exchange(list_, nullptr);
  if (!list) return;
  for (auto& [version, count] : list->counts) {
    if (version == version_) --count;
  }
}

// --------------------------------------------------------------------------------------- rosters

Mesh::Mesh(NodeId self, SignedRoster roster, std::optional<SignedRoster> settled,
           std::vector<SignedRoster> older, std::uint64_t over_before)
    : self_(self),
      roster_(std::move(roster)),
      placement_(roster_.roster()),
      over_before_(std::min(over_before, roster_->version)),
      working_version_(roster_->version) {
  if (settled) settled_version_ = settled_version_under(roster_, *settled);
  learn_older(std::move(older));
}

bool Mesh::adopt(SignedRoster roster) {
  if (roster->mesh != roster_->mesh || !stands_over(roster, roster_)) return false;
  auto before = std::exchange(roster_, std::move(roster));
  keep_older(std::move(before), std::exchange(placement_, Placement(roster_.roster())));
  settled_version_ = std::min(settled_version_, roster_->version - 1);
  clean_version_ = 0;
  const auto left = [&](const auto& known) { return !roster_->find(known.first); };
  std::erase_if(progress_, left);
  std::erase_if(losses_, left);
  std::erase_if(work_->counts, [](const auto& counted) { return counted.second == 0; });
  raise_working_version();
  drop_settled_rosters();
  for (const auto& observer : observers_)
    observer();
  progressed();
  return true;
}

void Mesh::learn_older(std::vector<SignedRoster> rosters) {
  for (auto& roster : rosters) {
    const bool is_known =
        roster.hash() == roster_.hash() || std::ranges::any_of(older_, [&](const Older& o) {
          return o.roster.hash() == roster.hash();
        });
    if (is_known || roster->mesh != roster_->mesh || roster->version > roster_->version) continue;
    // Old rosters stay signed for ever: one that is over would put nodes of then before all writes.
    if (roster->version < over_before_) continue;
    Placement placement(roster.roster());
    keep_older(std::move(roster), std::move(placement));
  }
  drop_settled_rosters();
}

void Mesh::keep_older(SignedRoster roster, Placement placement) {
  const auto at = std::ranges::find_if(
      older_, [&](const Older& other) { return other.roster->version > roster->version; });
  older_.insert(at, {.roster = std::move(roster), .placement = std::move(placement)});
  if (older_.size() < rosters_in_force_max) return;
  // The oldest is where all lies that no later one has been settled with.
  spdlog::warn(
      "mesh: {} rosters are in force at once; {} is let go, see zdb status for the members "
      "that hold the move up",
      older_.size() + 1, older_[1].roster->version);
  older_.erase(older_.begin() + 1);
}

std::vector<SignedRoster> Mesh::older_rosters() const {
  std::vector<SignedRoster> rosters;
  for (const auto& older : older_)
    rosters.push_back(older.roster);
  return rosters;
}

Targets Mesh::targets(Partition partition) const {
  if (older_.empty()) return Targets(placement_.nodes_for(partition));
  Targets targets;
  if (is_worked_under(roster_->version)) targets = Targets(placement_.nodes_for(partition));
  for (auto older = older_.rbegin(); older != older_.rend(); ++older) {
    if (!is_worked_under(older->roster->version)) continue;
    targets.add(members_among(older->placement.nodes_for(partition), roster()),
                older->placement.replicas());
  }
  // All who held it are no members any more.
  return targets.nodes().empty() ? Targets(placement_.nodes_for(partition)) : targets;
}

/// Members that know of the roster can be reached by each other, and take part in it.
void Mesh::raise_working_version() {
  const bool all_adopted = std::ranges::all_of(roster_->members, [&](const RosterMember& member) {
    if (member.node == self_) return true;
    const auto known = progress_.find(member.node);
    return known != progress_.end() && (known->second.roster == roster_.hash() ||
                                        known->second.roster_version > roster_->version);
  });
  if (all_adopted) working_version_ = roster_->version;
}

// -------------------------------------------------------------------------------------- progress

MemberProgress Mesh::own_progress() const {
  MemberProgress progress{.roster = roster_.hash(),
                          .roster_version = roster_->version,
                          .working_version = working_version_,
                          .settled_version = settled_version_,
                          .clean_version = clean_version_,
                          .missed_writes = missed_writes_};
  for (const auto& [version, count] : work_->counts) {
    if (count > 0) progress.working_version = std::min(progress.working_version, version);
  }
  return progress;
}

void Mesh::hear(const NodeId& node, const MemberProgress& progress) {
  if (node == self_ || roster_->find(node) == nullptr) return;
  auto& known = progress_[node];
  const auto missed_before = std::exchange(known.missed_writes, progress.missed_writes);
  if (progress.missed_writes != missed_before && progress.missed_writes != 0) missed();
  if (known == progress) return;
  if (known.settled_version != 0 && progress.settled_version == 0) losses_[node] += 1;
  known = progress;
  raise_working_version();
  drop_settled_rosters();
  progressed();
}

void Mesh::progressed() {
  for (const auto& observer : progress_observers_)
    observer();
}

void Mesh::note_missed_write(const NodeId& node) {
  if (node == self_) return missed();
  ++missed_writes_;
}

void Mesh::missed() {
  for (const auto& observer : missed_observers_)
    observer();
}

/// Of this node and all others.
template <class Good>
bool Mesh::is_every_member(Good good) const {
  return std::ranges::all_of(roster_->members, [&](const RosterMember& member) {
    if (member.node == self_) return good(own_progress());
    const auto known = progress_.find(member.node);
    return known != progress_.end() && known->second.roster == roster_.hash() &&
           good(known->second);
  });
}

bool Mesh::goes_by_roster(const NodeId& node) const {
  if (node == self_) return true;
  const auto known = progress_.find(node);
  return known != progress_.end() && known->second.roster == roster_.hash();
}

bool Mesh::has_adopted(const NodeId& node) const {
  if (node == self_) return own_progress().working_version >= roster_->version;
  return goes_by_roster(node) && progress_.at(node).working_version >= roster_->version;
}

bool Mesh::is_adopted_by_all() const {
  return std::ranges::all_of(roster_->members,
                             [&](const RosterMember& member) { return has_adopted(member.node); });
}

bool Mesh::is_settled_by_all() const {
  return is_every_member(
      [&](const MemberProgress& p) { return p.settled_version >= roster_->version; });
}

bool Mesh::is_clean_everywhere() const {
  return is_settled_by_all() && is_every_member([&](const MemberProgress& p) {
           return p.clean_version >= roster_->version;
         });
}

std::vector<NodeId> Mesh::waited_for() const {
  using Done = std::function<bool(const NodeId&)>;
  const auto not_done = [&](const Done& done) {
    std::vector<NodeId> nodes;
    for (const auto& member : roster_->members) {
      if (!done(member.node)) nodes.push_back(member.node);
    }
    return nodes;
  };
  // Nobody works by the roster alone before all go by it, or is settled before all do that.
  auto nodes = not_done([&](const NodeId& node) { return goes_by_roster(node); });
  if (nodes.empty()) nodes = not_done([&](const NodeId& node) { return has_adopted(node); });
  if (!nodes.empty()) return nodes;
  return not_done([&](const NodeId& node) { return settled_version_of(node) >= roster_->version; });
}

bool Mesh::is_whole(const NodeId& node) const {
  if (node == self_) return is_whole();
  const auto known = progress_.find(node);
  return known == progress_.end() || known->second.settled_version != 0;
}

std::uint64_t Mesh::losses_of(const NodeId& node) const {
  const auto known = losses_.find(node);
  return known == losses_.end() ? 0 : known->second;
}

void Mesh::lose_store() {
  settled_version_ = 0;
  losses_[self_] += 1;
}

bool Mesh::has_lost_store() const {
  const auto is_in = [&](const SignedRoster& roster) { return roster->find(self_) != nullptr; };
  return !is_whole() && is_in(roster_) &&
         std::ranges::all_of(older_, [&](const auto& older) { return is_in(older.roster); });
}

/// 0 if it is not known, or if the member's store was lost.
std::uint64_t Mesh::settled_version_of(const NodeId& node) const {
  if (node == self_) return settled_version_;
  const auto known = progress_.find(node);
  if (known == progress_.end()) return 0;
  const bool same = known->second.roster == roster_.hash();
  return std::min(known->second.settled_version, roster_->version - (same ? 0 : 1));
}

/// A roster is over once every member is settled under a later one. Of a member of which nothing
/// is known, or whose store was lost, no more is assumed than was known before.
void Mesh::drop_settled_rosters() {
  auto floor = roster_->version;
  const auto known_before = std::min(over_before_, roster_->version - 1);
  for (const auto& member : roster_->members) {
    const auto settled = settled_version_of(member.node);
    floor = std::min(floor, settled != 0 ? settled : known_before);
  }
  over_before_ = std::max(over_before_, floor);
  const auto version_after = [&](std::size_t i) {
    return i + 1 < older_.size() ? older_[i + 1].roster->version : roster_->version;
  };
  std::size_t over = 0;
  while (over < older_.size() && version_after(over) <= floor)
    ++over;
  older_.erase(older_.begin(), older_.begin() + static_cast<std::ptrdiff_t>(over));
}

std::optional<SignedRoster> Mesh::settle(const RosterHash& roster) {
  if (roster != roster_.hash()) return std::nullopt;
  settled_version_ = roster_->version;
  drop_settled_rosters();
  progressed();
  return roster_;
}

void Mesh::set_clean(bool clean) {
  const auto version = clean ? roster_->version : 0;
  if (std::exchange(clean_version_, version) != version) progressed();
}

bool Mesh::is_drained(const NodeId& node) const {
  const auto* member = roster_->find(node);
  if (member == nullptr || !member->draining) return false;
  if (node == self_) return is_clean();
  const auto heard = progress_.find(node);
  return heard != progress_.end() && heard->second.roster == roster_.hash() &&
         heard->second.clean_version == roster_->version;
}

std::string Mesh::describe(const NodeId& node) const {
  const auto* member = roster_->find(node);
  if (member == nullptr) return node.short_hex();
  return member->name + " (" + node.short_hex() + ")";
}

WholeThroughout::WholeThroughout(const Mesh& mesh) : mesh_(&mesh) {
  for (const auto& member : mesh.roster().members) {
    if (mesh.is_whole(member.node)) at_first_[member.node] = mesh.losses_of(member.node);
  }
}

bool WholeThroughout::contains(const NodeId& node) const {
  const auto known = at_first_.find(node);
  return known != at_first_.end() && mesh_->is_whole(node) &&
         mesh_->losses_of(node) == known->second;
}

}  // namespace zerodb
