#pragma once
// Members that do nothing but belong to a mesh, over a simulated network: a founder, and those that
// join it by tickets.

#include <catch2/catch.hpp>
#include <deque>

#include "node/logging.hpp"
#include "node/membership.hpp"
#include "node/ticket.hpp"
#include "tests/node/rosters.hpp"
#include "tests/sim/memory_store.hpp"
#include "tests/sim/seeded_world.hpp"
#include "tests/sim/sim_network.hpp"

namespace zerodb::test {

using namespace std::chrono_literals;

/// What a member has on disk, and whether the disk takes more.
struct MemberDisk {
  std::optional<SignedRoster> roster;
  MembershipState state;
  std::vector<SignedRoster> older;
  std::uint64_t over_before = 0;
  std::optional<Seed> mesh_seed;
  bool is_full = false;
  std::size_t rosters_until_full = SIZE_MAX;

  MembershipFiles files() {
    return {
        .save_roster = [this](const SignedRoster& r) -> Status {
          if (rosters_until_full == 0) return fail(Errc::full, "no space left");
          rosters_until_full -= 1;
          return keep([&] { roster = r; });
        },
        .save_older_rosters =
            [this](const std::vector<SignedRoster>& r, std::uint64_t version) {
              return keep([&] {
                older = r;
                over_before = version;
              });
            },
        .save_records =
            [this](const std::vector<Bytes>& r) { return keep([&] { state.records = r; }); },
        .save_invites = [this](ByteView i) { return keep([&] { state.invites = to_bytes(i); }); },
        .save_mesh_key = [this](const Seed& s) { return keep([&] { mesh_seed = s.clone(); }); }};
  }

 private:
  template <class Action>
  Status keep(Action action) {
    if (is_full) return fail(Errc::full, "no space left");
    action();
    return {};
  }
};

/// A node that is nothing but a member, and greets when it is told to.
class Peer final : public LinkHandler {
 public:
  Peer(sim::SimNetwork& network, NodeKeys node_keys, SignedRoster roster, bool founder)
      : keys(std::move(node_keys)),
        runtime(network.world()),
        mesh(keys.curve.public_key, roster, std::nullopt),
        links(network, keys.curve.public_key, *this) {
    disk.roster = std::move(roster);
    start(founder);
  }

  void start(bool founder) {
    std::optional<SigningKey> key;
    if (founder) key.emplace(mesh_key());
    const NodeContext context{.runtime = runtime, .links = links, .store = store, .mesh = mesh};
    membership.emplace(context, keys, std::move(key), disk.state, disk.files());
    membership->on_change([this] {
      ++changes;
      set_members();
    });
    set_members();
  }

  NodeId id() const { return keys.curve.public_key; }
  std::uint64_t version() const { return mesh.roster().version; }

  /// One ping to `other`, as the links make them.
  Task<Status> greet(NodeId other) {
    auto hello = membership->hello();
    auto answer = co_await call(links, other, std::move(hello), {}, 1s);
    if (!answer) co_return fail(std::move(answer.error()));
    membership->on_hello_answered(other, answer->message);
    co_return Status{};
  }

  Task<Result<PeerAnswer>> on_request(Caller caller, peer::Request request, Payload) override {
    if (auto* hello = std::get_if<peer::Hello>(&request)) {
      co_return co_await membership->on_hello(caller.key, std::move(*hello));
    }
    if (auto* news = std::get_if<peer::NewRoster>(&request)) {
      co_return co_await membership->on_new_roster(caller.key, std::move(*news));
    }
    if (lie) co_return PeerAnswer{*lie, {}};
    co_return co_await membership->on_get_roster(caller.key);
  }
  bool is_news(const broadcast::Message&) const override { return true; }
  void on_broadcast(NodeId, broadcast::Message) override {}
  void on_link_up(NodeId) override {}
  void on_link_down(NodeId) override {}

  NodeKeys keys;
  sim::SimRuntime runtime;
  sim::MemoryStore store;
  Mesh mesh;
  sim::SimLinks links;
  MemberDisk disk;
  std::optional<Membership> membership;
  std::optional<peer::GetRoster::Reply> lie;  ///< answered in place of the truth
  int changes = 0;

 private:
  void set_members() {
    std::set<NodeId> ids;
    for (const auto& member : membership->members())
      ids.insert(member.node);
    links.set_members(std::move(ids));
  }
};

inline const bool is_quiet = set_up_logging({.level = "off"}).has_value();

/// A mesh founded by peer 0, which the others join by tickets.
class JoinScene {
 public:
  JoinScene() {
    auto keys = NodeKeys::generate();
    Roster roster{.mesh = mesh_id(mesh_key()), .version = 1, .members = {}};
    roster.members.push_back({.node = keys.curve.public_key,
                              .sign_key = keys.sign.public_key(),
                              .name = "founder",
                              .zone = {}});
    add(std::move(keys), SignedRoster::sign(roster, mesh_key()), true);
  }

  ~JoinScene() { world.drop_everything(); }  // while those it refers to are alive

  Peer& add(NodeKeys keys, SignedRoster roster, bool founder) {
    auto& peer = peers.emplace_back(network, std::move(keys), std::move(roster), founder);
    const auto port = std::to_string(7000 + peers.size());
    REQUIRE(
        peer.membership->set_own_address("tcp://127.0.0.1:" + port, "tcp://127.0.0.1:1" + port));
    return peer;
  }

  Peer& founder() { return peers.front(); }

  NodeId invite(std::uint64_t expires_s = 3600) {
    const auto text = founder().membership->invite({.expires_s = expires_s}, nullptr);
    REQUIRE(text);
    auto ticket = parse_ticket(*text);
    REQUIRE(ticket);
    return CurvePair::from_secret(std::move(ticket->invite)).public_key;
  }

  static peer::Join request_of(const NodeKeys& keys, std::string name) {
    return {.node = keys.curve.public_key,
            .sign_key = keys.sign.public_key(),
            .node_name = std::move(name),
            .zone = "cellar"};
  }

  Result<SignedRoster> join(const NodeId& invite, peer::Join request) {
    auto answer = world.run(founder().membership->on_join(invite, std::move(request)));
    if (!answer) return fail(std::move(answer.error()));
    auto& reply = std::get<peer::GetRoster::Reply>(answer->message);
    return SignedRoster::verify(reply.roster, mesh_id(mesh_key()));
  }

  Result<client::NodeChanged> set(Peer& at, client::NodeSet request) {
    return world.run(at.membership->node_set(std::move(request)));
  }
  Result<client::NodeChanged> remove(Peer& at, client::NodeRemove request) {
    return world.run(at.membership->node_remove(std::move(request)));
  }

  Peer& join_new(const std::string& name) {
    auto keys = NodeKeys::generate();
    auto roster = join(invite(), request_of(keys, name));
    REQUIRE(roster);
    return add(std::move(keys), std::move(*roster), false);
  }

  /// One that has the mesh key, too.
  Peer& join_administrator(const std::string& name) {
    auto& peer = join_new(name);
    ping_all();
    REQUIRE(peer.membership->mesh_import(*founder().membership->mesh_export()));
    return peer;
  }

  /// Every peer pings every other, and what follows from it happens.
  void ping_all() {
    world.run_for(1s);  // links of new members come up
    for (auto& from : peers) {
      for (auto& to : peers) {
        if (&from != &to) std::ignore = world.run(from.greet(to.id()));  // it may not know us yet
      }
    }
    world.run_for(1s);
  }

  /// What reconcile would do: each holds what the roster places on it, and all know.
  void settle_all() {
    for (auto& peer : peers)
      std::ignore = peer.mesh.settle(peer.mesh.signed_roster().hash());
    ping_all();
  }

  sim::SeededWorld world;
  sim::SimNetwork network{world};
  std::deque<Peer> peers;
};

}  // namespace zerodb::test
