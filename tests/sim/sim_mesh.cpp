#include "tests/sim/sim_mesh.hpp"

#include <algorithm>

namespace zerodb::sim {

SimMesh::SimMesh(std::size_t nodes, SimMeshOptions options)
    : options_(std::move(options)),
      network_(world_, options_.network),
      mesh_key_(SigningKey::generate()) {
  roster_.mesh = *MeshId::from(mesh_key_.public_key().view());
  std::vector<NodeKeys> keys;
  for (std::size_t i = 0; i < nodes; ++i) {
    keys.push_back(NodeKeys::generate());
    add_member(keys.back(), i < options_.zones.size() ? options_.zones[i] : "");
  }
  change_roster([](Roster&) {});
  for (auto& one : keys)
    add_node(std::move(one), rosters_.front());
  if (!run_until_linked()) throw std::runtime_error("simulation: the links do not come up");
}

SimMesh::~SimMesh() {
  for (auto& node : nodes_)
    node.stop();
  world_.drop_everything();
  world_.outside().end();  // whatever still waits refers to the nodes
}

void SimMesh::add_member(const NodeKeys& keys, const std::string& zone) {
  RosterMember member;
  member.node = keys.curve.public_key;
  member.sign_key = keys.sign.public_key();
  member.name = "node" + std::to_string(roster_.members.size() + 1);
  member.zone = zone;
  roster_.members.push_back(std::move(member));
}

void SimMesh::change_roster(const std::function<void(Roster&)>& change) {
  change(roster_);
  ++roster_.version;
  rosters_.push_back(SignedRoster::sign(roster_, mesh_key_));
  for (auto& node : nodes_) {
    if (!network_.is_down(node.id())) spread_to(node);
  }
}

void SimMesh::spread_to(SimNode& node) {
  node.mesh.learn_older(rosters_);
  node.mesh.adopt(rosters_.back());
}

void SimMesh::remove(std::size_t index) {
  const auto id = nodes_[index].id();
  change_roster([&](Roster& roster) {
    std::erase_if(roster.members, [&](const RosterMember& member) { return member.node == id; });
  });
}

SimNode& SimMesh::add_node(NodeKeys keys, std::optional<SignedRoster> settled) {
  auto& node = nodes_.emplace_back(network_, std::move(keys), rosters_.back(), std::move(settled),
                                   options_.node, rosters_);
  const auto skew = world_.random_between(0, 2 * options_.clock_skew_max_ms);
  node.runtime.set_clock_skew(static_cast<std::int64_t>(skew) -
                              static_cast<std::int64_t>(options_.clock_skew_max_ms));
  return node;
}

SimNode* SimMesh::find(const NodeId& id) {
  const auto found = std::ranges::find(nodes_, id, &SimNode::id);
  return found == nodes_.end() ? nullptr : &*found;
}

SimNode& SimMesh::join(const std::string& zone) {
  auto keys = NodeKeys::generate();
  change_roster([&](Roster&) { add_member(keys, zone); });
  return add_node(std::move(keys), rosters_[rosters_.size() - 2]);
}

void SimMesh::up(std::size_t index) {
  network_.up(nodes_[index].id());
  spread_to(nodes_[index]);
}

bool SimMesh::run_until_linked(Milliseconds limit) {
  return world_.run_until(
      [this] {
        for (auto& a : nodes_) {
          for (auto& b : nodes_) {
            if (&a == &b || network_.is_down(a.id()) || network_.is_down(b.id())) continue;
            if (!a.links.state(b.id()).up) return false;
          }
        }
        return true;
      },
      limit);
}

bool SimMesh::run_until_quiet(Milliseconds limit) {
  const auto idle = [this] {
    return std::ranges::all_of(nodes_, [](SimNode& node) { return node.reconcile->is_idle(); });
  };
  // News may be on its way to a node that is idle now: quiet is idle twice, some time apart.
  const auto until_ms = world_.now_ms() + static_cast<std::uint64_t>(limit.count());
  while (world_.now_ms() < until_ms) {
    const Milliseconds left(static_cast<std::int64_t>(until_ms - world_.now_ms()));
    if (!world_.run_until(idle, left)) return false;
    bool stayed_idle = true;
    world_.run_until([&] { return !(stayed_idle = idle()); }, Milliseconds(2'000));
    if (stayed_idle) return true;
  }
  return false;
}

bool SimMesh::run_until_moved(Milliseconds limit) {
  const auto moved = [this] {
    return std::ranges::all_of(nodes_, [this](SimNode& node) {
      return roster_.find(node.id()) == nullptr || node.mesh.is_clean_everywhere();
    });
  };
  return world_.run_until(moved, limit);
}

}  // namespace zerodb::sim
