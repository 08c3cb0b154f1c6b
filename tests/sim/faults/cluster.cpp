#include "tests/sim/faults/cluster.hpp"

#include "node/ticket.hpp"

namespace zerodb::sim {

namespace {

bool list_each_other(const Machine& a, const Machine& b) {
  return a.known_roster()->find(b.id()) != nullptr && b.known_roster()->find(a.id()) != nullptr;
}

const SignedRoster& latest_of(const std::vector<const Machine*>& machines) {
  const auto stands_below = [](const Machine* a, const Machine* b) {
    return stands_over(b->known_roster(), a->known_roster());
  };
  return (*std::ranges::max_element(machines, stands_below))->known_roster();
}

/// Those that hear of each other, directly or through others.
std::vector<std::vector<const Machine*>> groups_of(std::vector<const Machine*> left) {
  std::vector<std::vector<const Machine*>> groups;
  while (!left.empty()) {
    std::vector<const Machine*> group{left.back()};
    left.pop_back();
    for (std::size_t at = 0; at < group.size(); ++at) {
      const auto listed = std::ranges::partition(
          left, [&](const Machine* other) { return !list_each_other(*group[at], *other); });
      group.insert(group.end(), listed.begin(), listed.end());
      left.erase(listed.begin(), listed.end());
    }
    groups.push_back(std::move(group));
  }
  return groups;
}

/// Of two groups of machines, which one is the mesh.
bool is_rather(const std::vector<const Machine*>& group, const std::vector<const Machine*>& other) {
  if (group.size() != other.size()) return group.size() > other.size();
  return stands_over(latest_of(group), latest_of(other));
}

}  // namespace

Cluster::Cluster(World& world, Trace& trace, const Scenario& scenario)
    : world_(world),
      trace_(trace),
      options_(scenario.machine),
      network_(world),
      mesh_key_(SigningKey::generate()),
      owner_(OwnerKeys::generate()) {
  found(scenario);
}

void Cluster::found(const Scenario& scenario) {
  Roster roster{.mesh = *MeshId::from(mesh_key_.public_key().view()), .version = 1, .members = {}};
  std::vector<NodeKeys> keys;
  for (std::size_t i = 0; i < scenario.nodes; ++i) {
    keys.push_back(NodeKeys::generate());
    roster.members.push_back({.node = keys[i].curve.public_key,
                              .sign_key = keys[i].sign.public_key(),
                              .name = "node" + std::to_string(i + 1),
                              .zone = scenario.zones[i],
                              .blind = scenario.blind[i]});
  }
  const auto signed_roster = SignedRoster::sign(roster, mesh_key_);
  for (std::size_t i = 0; i < scenario.nodes; ++i) {
    Folder folder;
    folder.roster = signed_roster;
    folder.settled = signed_roster;
    if (i < scenario.administrators) folder.mesh_key = mesh_key_.seed();
    add(std::move(keys[i]), std::move(folder), !scenario.blind[i]);
  }
  for (auto& machine : machines_)
    machine.start();
  mark_converged();
}

Machine& Cluster::add(NodeKeys keys, Folder folder, bool gateway) {
  const auto name = "node" + std::to_string(machines_.size() + 1);
  std::optional<Seed> owner;
  if (gateway) owner = owner_.seed();
  return machines_.emplace_back(network_, name, std::move(keys), std::move(folder),
                                std::move(owner), options_);
}

Machine* Cluster::find(const NodeId& id) {
  const auto found = std::ranges::find(machines_, id, &Machine::id);
  return found == machines_.end() ? nullptr : &*found;
}

const std::string& Cluster::name_of(const NodeId& id) {
  static const std::string nobody = "?";
  const auto* machine = find(id);
  return machine == nullptr ? nobody : machine->name();
}

std::vector<const Machine*> Cluster::heard() const {
  std::vector<const Machine*> all;
  for (const auto& machine : machines_)
    all.push_back(&machine);
  std::vector<const Machine*> largest;
  for (auto& group : groups_of(std::move(all))) {
    if (is_rather(group, largest)) largest = std::move(group);
  }
  return largest;
}

bool Cluster::is_one_without(const Machine& gone) const {
  auto left = heard();
  std::erase(left, &gone);
  return groups_of(std::move(left)).size() <= 1;
}

bool Cluster::is_heard(const Machine& machine) const {
  return std::ranges::count(heard(), &machine) != 0;
}

const Roster& Cluster::roster() const {
  return latest_of(heard()).roster();
}

std::vector<Machine*> Cluster::running() {
  std::vector<Machine*> running;
  for (auto& machine : machines_) {
    if (machine.is_running() && is_member(machine)) running.push_back(&machine);
  }
  return running;
}

// -------------------------------------------------------------------------------- administration

void Cluster::note_replicas() {
  const auto& members = roster().members;
  const auto staying = std::ranges::count(members, false, &RosterMember::draining);
  const auto replicas = std::min<std::uint32_t>(
      replicas_wanted, static_cast<std::uint32_t>(staying == 0 ? members.size() : staying));
  replicas_least_ = std::min(replicas_least_, replicas);
}

std::uint32_t Cluster::losses_allowed() {
  note_replicas();
  return write_quorum(replicas_least_) - 1;
}

void Cluster::mark_converged() {
  replicas_least_ = replicas_wanted;
  note_replicas();
}

Machine* Cluster::administrator() {
  std::vector<Machine*> able;
  for (auto* machine : running()) {
    if (machine->membership().holds_mesh_key()) able.push_back(machine);
  }
  return able.empty() ? nullptr : able[world_.random_between(0, able.size() - 1)];
}

void Cluster::join(const std::string& zone, Milliseconds later) {
  auto* at = administrator();
  if (at == nullptr) return;
  asio::co_spawn(at->life().io(), admit(*at, NodeKeys::generate(), zone, later), or_terminate);
}

/// As `zerodb-node join` does it: see node/new_node.cpp.
Task<void> Cluster::admit(Machine& at, NodeKeys keys, std::string zone, Milliseconds later) {
  const auto text = at.membership().invite({}, nullptr);
  if (!text) co_return;
  auto ticket = parse_ticket(*text);
  const auto invite = CurvePair::from_secret(std::move(ticket->invite)).public_key;
  peer::Join request{.node = keys.curve.public_key,
                     .sign_key = keys.sign.public_key(),
                     .node_name = "node" + std::to_string(machines_.size() + 1),
                     .zone = std::move(zone)};
  auto answer = co_await at.membership().on_join(invite, std::move(request));
  if (!answer) {
    trace_.say("join refused: " + answer.error().what);
    co_return;
  }
  const auto& reply = std::get<peer::GetRoster::Reply>(answer->message);
  const auto mesh = *MeshId::from(mesh_key_.public_key().view());
  Folder folder;
  folder.roster = *SignedRoster::verify(reply.roster, mesh);
  folder.membership.records = reply.records;
  for (const auto& wire : reply.older) {
    folder.older.push_back(*SignedRoster::verify(wire, mesh));
    if (folder.older.back()->find(keys.curve.public_key) == nullptr) {
      folder.settled = folder.older.back();
    }
  }
  folder.over_before = oldest_in_force(*folder.roster, folder.older);
  auto& machine = add(std::move(keys), std::move(folder), true);
  trace_.say(machine.name() + " joined at " + at.name());
  note_replicas();
  world_.after_us(static_cast<std::uint64_t>(later.count()) * 1000, [&machine] {
    if (!machine.is_running()) machine.start();
  });
}

void Cluster::set(const Machine& machine, client::NodeSet change) {
  auto* at = administrator();
  if (at == nullptr) return;
  change.node = machine.name();
  asio::co_spawn(at->life().io(), do_set(*this, *at, std::move(change)), or_terminate);
}

Task<void> Cluster::do_set(Cluster& cluster, Machine& at, client::NodeSet change) {
  auto changed = co_await at.membership().node_set(std::move(change));
  cluster.trace_.say(changed ? "roster " + std::to_string(changed->roster_version) + " made at " +
                                   at.name()
                             : "roster change refused: " + changed.error().what);
  cluster.note_replicas();
}

void Cluster::remove(const Machine& machine, bool force) {
  auto* at = administrator();
  if (at == nullptr || at == &machine) return;
  client::NodeRemove change{.node = machine.name(), .force = force};
  asio::co_spawn(at->life().io(), do_remove(*this, *at, std::move(change)), or_terminate);
}

Task<void> Cluster::do_remove(Cluster& cluster, Machine& at, client::NodeRemove change) {
  const auto name = change.node;
  auto changed = co_await at.membership().node_remove(std::move(change));
  cluster.trace_.say(changed ? name + " removed at " + at.name()
                             : "removal refused: " + changed.error().what);
  cluster.note_replicas();
}

}  // namespace zerodb::sim
