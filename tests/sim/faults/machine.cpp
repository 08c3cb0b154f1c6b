#include "tests/sim/faults/machine.hpp"

namespace zerodb::sim {

/// From its start to its crash.
class Machine::Process final : public LinkHandler {
 public:
  explicit Process(Machine& machine)
      : machine_(machine),
        life_(machine.network_.world()),
        runtime_(life_, machine.clock_skew_ms_),
        mesh_(machine.id(), *machine.folder_.roster, machine.folder_.settled, machine.folder_.older,
              machine.folder_.over_before),
        links_(machine.network_, machine.id(), *this, life_),
        context_{.runtime = runtime_,
                 .links = links_,
                 .store = machine.store,
                 .mesh = mesh_,
                 .sign_key = &machine.keys_.sign,
                 .tombstone_keep = machine.options_.tombstone_keep},
        membership_(context_, machine.keys_, mesh_key(), machine.folder_.membership,
                    membership_files()),
        node_(context_, membership_, owner(), machine.options_.node, node_files()) {}

  ~Process() override { life_.end(); }

  void start() {
    static_cast<void>(membership_.set_own_address("tcp://" + machine_.name_ + ":1",
                                                  "tcp://" + machine_.name_ + ":2"));
    membership_.on_change([this] { update_links(); });
    update_links();
    node_.start();
    spawn(runtime_, ping_forever());
  }

  Life& life() { return life_; }
  SimRuntime& runtime() { return runtime_; }
  Mesh& mesh() { return mesh_; }
  SimLinks& links() { return links_; }
  Membership& membership() { return membership_; }
  Node& node() { return node_; }

  Task<Result<PeerAnswer>> on_request(Caller caller, peer::Request request,
                                      Payload payload) override {
    return node_.on_request(caller, std::move(request), std::move(payload));
  }
  bool is_news(const broadcast::Message& message) const override { return node_.is_news(message); }
  void on_broadcast(NodeId from, broadcast::Message message) override {
    node_.on_broadcast(from, std::move(message));
  }
  void on_link_up(NodeId node) override {
    spawn(runtime_, ping(node));
    node_.on_link_up(node);
  }
  void on_link_down(NodeId node) override { node_.on_link_down(node); }

 private:
  std::optional<SigningKey> mesh_key() const {
    std::optional<SigningKey> key;
    if (machine_.folder_.mesh_key) key.emplace(*machine_.folder_.mesh_key);
    return key;
  }
  std::optional<OwnerKeys> owner() const {
    std::optional<OwnerKeys> keys;
    if (machine_.owner_) keys.emplace(*machine_.owner_);
    return keys;
  }

  template <class To, class What>
  static Status keep(To& to, const What& what) {
    to = what;
    return {};
  }
  MembershipFiles membership_files() {
    auto& folder = machine_.folder_;
    return {
        .save_roster = [&folder](const SignedRoster& r) { return keep(folder.roster, r); },
        .save_older_rosters =
            [&folder](const std::vector<SignedRoster>& r, std::uint64_t over_before) {
              folder.over_before = over_before;
              return keep(folder.older, r);
            },
        .save_records =
            [&folder](const std::vector<Bytes>& r) { return keep(folder.membership.records, r); },
        .save_invites =
            [&folder](ByteView i) { return keep(folder.membership.invites, to_bytes(i)); },
        .save_mesh_key =
            [&folder](const Seed& seed) {
              folder.mesh_key = seed.clone();
              return Status{};
            }};
  }
  NodeFiles node_files() {
    auto& folder = machine_.folder_;
    return {
        .save_settled_roster = [&folder](const SignedRoster& r) { return keep(folder.settled, r); },
        .save_owner = {},
        .open_names = {},
        .followers = {},
        .scrub = {.save = [&folder](const std::string& s) { folder.scrub = s; },
                  .saved = folder.scrub}};
  }

  void update_links() {
    std::set<NodeId> members;
    for (const auto& member : membership_.members())
      members.insert(member.node);
    links_.set_members(std::move(members));
  }

  Task<void> ping_forever() {
    while (true) {
      co_await runtime_.sleep(machine_.options_.ping_interval);
      for (const auto& member : membership_.members()) {
        if (links_.state(member.node).up) spawn(runtime_, ping(member.node));
      }
    }
  }
  Task<void> ping(NodeId node) {
    constexpr Milliseconds timeout{2'000};
    auto hello = membership_.hello();
    auto answer = co_await call(links_, node, std::move(hello), Payload(), timeout);
    if (!answer) co_return;
    membership_.on_hello_answered(node, answer->message);
    node_.on_peer_time(answer->message.time_ms);
  }

  // Dropped from the last to the first, after the coroutines have been unwound.
  Machine& machine_;
  Life life_;
  SimRuntime runtime_;
  Mesh mesh_;
  SimLinks links_;
  NodeContext context_;
  Membership membership_;
  Node node_;
};

Machine::Machine(SimNetwork& network, std::string name, NodeKeys keys, Folder folder,
                 std::optional<Seed> owner, MachineOptions options)
    : network_(network),
      name_(std::move(name)),
      keys_(std::move(keys)),
      folder_(std::move(folder)),
      owner_(std::move(owner)),
      options_(std::move(options)) {}

Machine::~Machine() = default;

void Machine::start() {
  process_ = std::make_unique<Process>(*this);
  process_->start();
}

void Machine::crash() {
  process_.reset();
}

void Machine::lose_store() {
  store.wipe();
  folder_.settled.reset();
  folder_.scrub.clear();
}

void Machine::set_clock_skew(std::int64_t ms) {
  clock_skew_ms_ = ms;
  if (process_) process_->runtime().set_clock_skew(ms);
}

bool Machine::may_forget(Version tombstone) {
  const auto keep = static_cast<std::uint64_t>(options_.tombstone_keep.count());
  return tombstone.ms() + keep < process_->runtime().now_ms();
}

Life& Machine::life() {
  return process_->life();
}
Node& Machine::node() {
  return process_->node();
}
Mesh& Machine::mesh() {
  return process_->mesh();
}
Membership& Machine::membership() {
  return process_->membership();
}
SimLinks& Machine::links() {
  return process_->links();
}

}  // namespace zerodb::sim
