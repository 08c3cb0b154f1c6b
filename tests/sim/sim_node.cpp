#include "tests/sim/sim_node.hpp"

namespace zerodb::sim {

namespace {

template <class... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};

Task<Result<PeerAnswer>> refuse() {
  co_return fail(Errc::invalid, "simulation: rosters are handed over without messages");
}

Task<Result<PeerAnswer>> done() {
  co_return PeerAnswer{peer::Ok{}, Payload()};
}

}  // namespace

SimNode::SimNode(SimNetwork& network, NodeKeys node_keys, SignedRoster roster,
                 std::optional<SignedRoster> settled, SimNodeOptions options,
                 std::vector<SignedRoster> older)
    : keys(std::move(node_keys)),
      runtime(network.world()),
      mesh(keys.curve.public_key, std::move(roster), settled, std::move(older)),
      links(network, keys.curve.public_key, *this),
      remembered(std::move(settled)),
      options_(options) {
  mesh.on_change([this] {
    apply_roster();
    reconcile->on_roster_change();
  });
  mesh.on_missed_writes([this] { reconcile->on_missed_writes(); });
  restart();
  apply_roster();
  spawn(runtime, greet(*this));
}

void SimNode::stop() {
  if (reconcile) reconcile->stop();
  if (hand_over) hand_over->stop();
  if (tombstones) tombstones->stop();
}

void SimNode::restart() {
  stop();
  if (replica) old_replicas_.push_back(std::move(replica));
  replica = std::make_unique<Replica>(context(), options_.replica);
  reconcile = std::make_unique<Reconcile>(
      context(), options_.reconcile, [this](const SignedRoster& roster) { remembered = roster; });
  hand_over = std::make_unique<HandOver>(context(), options_.hand_over);
  tombstones = std::make_unique<TombstoneSweep>(context(), options_.tombstones);
  reconcile->start();
  hand_over->start();
  tombstones->start();
}

void SimNode::lose_disk() {
  store.wipe();
  remembered.reset();
  mesh.lose_store();
  restart();
}

/// As long as the simulation runs.
Task<void> SimNode::greet(SimNode& self) {
  while (true) {
    co_await self.runtime.sleep(self.options_.greeting_interval);
    for (const auto& member : self.mesh.roster().members) {
      if (!self.links.state(member.node).up) continue;
      const auto progress = self.mesh.own_progress();
      peer::Hello hello{.record = {},
                        .roster_version = self.mesh.roster().version,
                        .roster_hash = to_bytes(progress.roster.view()),
                        .records_digest = {},
                        .working_version = progress.working_version,
                        .settled_version = progress.settled_version,
                        .clean_version = progress.clean_version,
                        .missed_writes = progress.missed_writes};
      const auto to = member.node;
      spawn(self.runtime, send_hello(self, to, std::move(hello)));
    }
  }
}

Task<void> SimNode::send_hello(SimNode& self, NodeId to, peer::Hello hello) {
  std::ignore = co_await call(self.links, to, std::move(hello), Payload(), Milliseconds(4'000));
}

/// Each greets the others, so that replies need not tell anything.
Task<Result<PeerAnswer>> SimNode::on_hello(NodeId from, peer::Hello request) {
  mesh.hear(from, {.roster = RosterHash::from(request.roster_hash).value(),
                   .roster_version = request.roster_version,
                   .working_version = request.working_version,
                   .settled_version = request.settled_version,
                   .clean_version = request.clean_version,
                   .missed_writes = request.missed_writes.value_or(0)});
  co_return PeerAnswer{peer::Hello::Reply{}, Payload()};
}

void SimNode::drop_idle_transfers() {
  replica->drop_idle_transfers();
  for (const auto& old : old_replicas_)
    old->drop_idle_transfers();
}

void SimNode::apply_roster() {
  std::set<NodeId> members;
  for (const auto& member : mesh.roster().members)
    members.insert(member.node);
  links.set_members(std::move(members));
  follow(owners_);
}

void SimNode::follow(std::set<OwnerId> owners) {
  owners_ = std::move(owners);
  std::set<Partition> partitions;
  for (std::size_t partition = 0; partition < partition_count; ++partition) {
    const auto candidate = static_cast<Partition>(partition);
    if (mesh.is_placed_here(candidate)) partitions.insert(candidate);
  }
  links.subscribe(std::move(partitions), owners_);
}

Task<Result<PeerAnswer>> SimNode::on_request(Caller caller, peer::Request request,
                                             Payload payload) {
  const auto from = caller.key;
  auto handle = Overloaded{
      [&](peer::Hello& r) { return on_hello(from, std::move(r)); },
      [](peer::GetRoster&) { return refuse(); },
      [](peer::NewRoster&) { return refuse(); },
      [](peer::Join&) { return refuse(); },
      [&](peer::PutInline& r) { return replica->put_inline(from, std::move(r), payload); },
      [&](peer::PutOpen& r) { return replica->put_open(from, std::move(r)); },
      [&](peer::PutChunk& r) { return replica->put_chunk(from, std::move(r), payload); },
      [&](peer::PutCommit& r) { return replica->put_commit(from, std::move(r)); },
      [&](peer::PutAbort& r) { return replica->put_abort(from, std::move(r)); },
      [&](peer::GetManifest& r) { return replica->get_manifest(from, std::move(r)); },
      [&](peer::GetChunk& r) { return replica->get_chunk(from, std::move(r)); },
      [&](peer::GetLeaves& r) { return replica->get_leaves(from, std::move(r)); },
      [&](peer::GetDigests& r) { return replica->get_digests(from, r, payload); },
      [&](peer::GetEntries& r) { return replica->get_entries(from, std::move(r), payload); },
      [&](peer::Prove& r) { return replica->prove(from, std::move(r)); },
      [&](peer::Confirm&) { return reconcile->on_confirm(from, payload); },
      [&](peer::Have& r) {
        if (on_have) on_have(from, r);
        return done();
      },
  };
  co_return co_await std::visit(handle, request);
}

bool SimNode::is_news(const broadcast::Message& message) const {
  const auto* manifest = broadcast::manifest_of(message);
  if (manifest == nullptr || !replica->has_just_taken(*manifest)) return true;
  return is_followed && is_followed();
}

void SimNode::on_broadcast(NodeId from, broadcast::Message message) {
  const auto tell = [&](Bytes& manifest) {
    if (on_news) on_news(manifest);
    reconcile->on_news(from, std::move(manifest));
  };
  std::visit(Overloaded{
                 [&](broadcast::Store& news) { tell(news.manifest); },
                 [&](broadcast::Delete& news) { tell(news.manifest); },
                 [&](broadcast::Get& get) { spawn(runtime, answer_get(from, get)); },
             },
             message);
}

void SimNode::on_link_up(NodeId node) {
  reconcile->on_link_up(node);
}

Task<void> SimNode::answer_get(NodeId to, broadcast::Get get) {
  const ObjectId object{.owner = get.owner, .hashed_key = get.hashed_key};
  auto latest = co_await offload(runtime, [&] { return store.latest(object); });
  peer::Have have{.nonce = get.nonce, .manifest = {}};
  if (latest && *latest) have.manifest = (*latest)->wire();
  std::ignore = co_await call(links, to, std::move(have), Payload(), Milliseconds(5'000));
}

}  // namespace zerodb::sim
