#include "node/node.hpp"

#include <spdlog/spdlog.h>

#include "store/version.hpp"

namespace zerodb {

namespace {

constexpr Milliseconds housekeeping_interval{10'000};
constexpr Milliseconds health_interval{500};
constexpr Milliseconds answer_timeout{2'000};
constexpr Milliseconds disk_look_interval{1'000};

ReplicaOptions with_damage_told(ReplicaOptions options,
                                std::function<void(const ChunkBinding&)> tell) {
  options.on_damage = std::move(tell);
  return options;
}

/// One request between members, by the part it is for.
struct PeerDispatch {
  Replica& replica;
  Reconcile& reconcile;
  Membership& membership;
  Gateway* gateway;
  Caller caller;
  Payload payload;

  using Reply = Task<Result<PeerAnswer>>;

  Reply operator()(peer::Hello& request) {
    return membership.on_hello(caller.key, std::move(request));
  }
  Reply operator()(peer::GetRoster&) { return membership.on_get_roster(caller.key); }
  Reply operator()(peer::NewRoster& news) {
    return membership.on_new_roster(caller.key, std::move(news));
  }
  Reply operator()(peer::Join& request) {
    return membership.on_join(caller.key, std::move(request));
  }
  Reply operator()(peer::PutInline& request) {
    return replica.put_inline(caller.key, std::move(request), std::move(payload));
  }
  Reply operator()(peer::PutOpen& request) { return replica.put_open(caller.key, request); }
  Reply operator()(peer::PutChunk& request) {
    return replica.put_chunk(caller.key, request, std::move(payload));
  }
  Reply operator()(peer::PutCommit& request) {
    return replica.put_commit(caller.key, std::move(request));
  }
  Reply operator()(peer::PutAbort& request) { return replica.put_abort(caller.key, request); }
  Reply operator()(peer::GetManifest& request) { return replica.get_manifest(caller.key, request); }
  Reply operator()(peer::GetChunk& request) { return replica.get_chunk(caller.key, request); }
  Reply operator()(peer::GetLeaves& request) { return replica.get_leaves(caller.key, request); }
  Reply operator()(peer::GetDigests& request) {
    return replica.get_digests(caller.key, request, std::move(payload));
  }
  Reply operator()(peer::GetEntries& request) {
    return replica.get_entries(caller.key, std::move(request), std::move(payload));
  }
  Reply operator()(peer::Prove& request) { return replica.prove(caller.key, std::move(request)); }
  Reply operator()(peer::Confirm&) { return reconcile.on_confirm(caller.key, std::move(payload)); }
  Reply operator()(peer::Have& request) { return take_answer(gateway, caller.key, request); }

  static Reply take_answer(Gateway* gateway, NodeId from, peer::Have answer) {
    if (gateway != nullptr) gateway->on_have(from, answer);
    co_return PeerAnswer{peer::Ok{}, {}};
  }
};

}  // namespace

Node::Node(NodeContext context, Membership& membership, std::optional<OwnerKeys> owner,
           NodeOptions options, NodeFiles files)
    : context_(context),
      membership_(membership),
      options_(std::move(options)),
      files_(std::move(files)),
      replica_(context, with_damage_told(options_.replica,
                                         [this](const ChunkBinding& b) { scrubber_->suspect(b); })),
      reconcile_(context, options_.reconcile,
                 [this](const SignedRoster& roster) {
                   // A roster that is not kept is only taken over again after a restart.
                   static_cast<void>(files_.save_settled_roster(roster));
                 }),
      hand_over_(context, options_.hand_over),
      tombstones_(context, options_.tombstones),
      clients_(
          context, [this] { return gateway_; }, options_.clients),
      events_(
          context, [this] { return gateway_; }, options_.events),
      scrubber_(std::make_shared<Scrubber>(context, options_.scrub, std::move(files_.scrub))),
      health_(context) {
  options_.gateway.on_damage = [this](const ChunkBinding& blob) { scrubber_->suspect(blob); };
  options_.gateway.on_found = [this](const NodeId& holder, Bytes manifest) {
    reconcile_.on_news(holder, std::move(manifest));
  };
  if (owner) set_owner(std::move(*owner));
}

Node::~Node() = default;

void Node::set_owner(OwnerKeys keys) {
  OpenNames open_names;
  if (files_.open_names) {
    const auto key = std::make_shared<const Secret<32>>(keys.catalogue_key().clone());
    open_names = [open = files_.open_names, owner = keys.id(), key] { return open(owner, *key); };
  }
  const auto followers = files_.followers ? files_.followers(keys.id()) : FollowersFile{};
  gateway_ = std::make_shared<Gateway>(context_, std::move(keys), options_.gateway,
                                       std::move(open_names), followers);
}

void Node::start() {
  started_ms_ = context_.runtime.steady_ms();
  running_ = true;
  context_.mesh.on_change([this] {
    subscribe();
    reconcile_.on_roster_change();
  });
  context_.mesh.on_missed_writes([this] { reconcile_.on_missed_writes(); });
  subscribe();
  reconcile_.start();
  hand_over_.start();
  tombstones_.start();
  scrubber_->start();
  spawn(context_.runtime, housekeeping());
  spawn(context_.runtime, sweep_store());
  spawn(context_.runtime, watch_health());
  spawn(context_.runtime, watch_disk());
}

void Node::stop() {
  running_ = false;
  reconcile_.stop();
  hand_over_.stop();
  tombstones_.stop();
  scrubber_->stop();
  context_.store.cut_sweeps_short();
  clients_.drop_all();
  events_.stop();
  if (gateway_) gateway_->stop();
}

void Node::subscribe() {
  std::set<Partition> partitions;
  for (std::size_t partition = 0; partition < partition_count; ++partition) {
    const auto number = static_cast<Partition>(partition);
    if (context_.mesh.is_placed_here(number)) partitions.insert(number);
  }
  std::set<OwnerId> owners;
  if (gateway_) owners.insert(gateway_->keys().id());
  context_.links.subscribe(std::move(partitions), std::move(owners));
}

Task<void> Node::housekeeping() {
  while (running_) {
    co_await context_.runtime.sleep(housekeeping_interval);
    replica_.drop_idle_transfers();
    clients_.drop_idle();
    if (gateway_) gateway_->tend();
  }
}

Task<void> Node::sweep_store() {
  std::string said;
  while (running_) {
    co_await context_.runtime.sleep(housekeeping_interval);
    const auto keep = static_cast<std::uint64_t>(options_.superseded_keep.count());
    const auto now_ms = context_.runtime.now_ms();
    const auto before = now_ms - std::min(keep, now_ms);
    const auto swept =
        co_await offload(context_.runtime, [this, before] { return context_.store.sweep(before); });
    // What cannot be dropped now is found again by the next sweep.
    const auto why = swept ? std::string() : swept.error().what;
    if (!why.empty() && why != said) spdlog::error("sweep: {}", why);
    said = why;
  }
}

Task<void> Node::watch_health() {
  while (running_) {
    co_await context_.runtime.sleep(health_interval);
    health_.look();
  }
}

/// Says so as soon as this node can take nothing any more, and when it can again.
Task<void> Node::watch_disk() {
  std::string said;
  auto stats = co_await offload(context_.runtime, [this] { return context_.store.stats(); });
  say_what_was_recovered(stats);
  while (running_) {
    if (said.empty() != stats.read_only.empty()) {
      if (stats.read_only.empty())
        spdlog::info("this node takes writes again");
      else
        spdlog::critical("this node is READ-ONLY: {}", stats.read_only);
      said = stats.read_only;
    }
    co_await context_.runtime.sleep(disk_look_interval);
    stats = co_await offload(context_.runtime, [this] { return context_.store.stats(); });
  }
}

void Node::say_what_was_recovered(const StoreStats& stats) {
  if (!stats.index_rebuilt) return;
  spdlog::critical(
      "the index of this node's store was lost or damaged; it was made anew with {} objects and {} "
      "tombstones, the rest comes from other nodes; all is verified now",
      stats.objects, stats.tombstones);
  scrubber_->begin_now();
}

// ------------------------------------------------------------------------------- other members

Task<Result<PeerAnswer>> Node::on_request(Caller caller, peer::Request request, Payload payload) {
  if (caller.role == Caller::Role::invite && !std::holds_alternative<peer::Join>(request)) {
    co_return fail(Errc::denied, "an invite is good for joining and nothing else");
  }
  PeerDispatch dispatch{replica_,       reconcile_, membership_,
                        gateway_.get(), caller,     std::move(payload)};
  co_return co_await std::visit(dispatch, request);
}

/// What a put brought here is no news, as the own store tells it to the catalogue as well; unless
/// somebody waits to hear that it was acknowledged.
bool Node::is_news(const broadcast::Message& message) const {
  const auto* manifest = broadcast::manifest_of(message);
  if (manifest == nullptr || !replica_.has_just_taken(*manifest)) return true;
  return gateway_ && gateway_->is_followed();
}

void Node::on_broadcast(NodeId from, broadcast::Message message) {
  if (const auto* question = std::get_if<broadcast::Get>(&message)) {
    spawn(context_.runtime, answer_who_has(from, *question));
    return;
  }
  auto manifest = std::holds_alternative<broadcast::Store>(message)
                      ? std::move(std::get<broadcast::Store>(message).manifest)
                      : std::move(std::get<broadcast::Delete>(message).manifest);
  if (gateway_) gateway_->on_news(manifest);
  if (replica_.has_just_taken(manifest)) return;
  reconcile_.on_news(from, std::move(manifest));
}

Task<void> Node::answer_who_has(NodeId asker, broadcast::Get question) {
  const ObjectId object{question.owner, question.hashed_key};
  const auto latest =
      co_await offload(context_.runtime, [this, object] { return context_.store.latest(object); });
  if (!latest) co_return;  // a disk that cannot be read knows nothing
  peer::Have answer{.nonce = question.nonce};
  if (*latest) answer.manifest = (*latest)->wire();
  // The asker does not wait for us longer than for others.
  static_cast<void>(co_await call(context_.links, asker, std::move(answer), {}, answer_timeout));
}

void Node::on_peer_time(std::uint64_t their_ms) {
  if (gateway_) gateway_->on_peer_time(their_ms);
}

void Node::on_link_up(NodeId node) {
  health_.look_at(node);
  reconcile_.on_link_up(node);
  scrubber_->repair_soon();
  if (gateway_) gateway_->on_link_up();
}

void Node::on_link_down(NodeId node) {
  health_.look_at(node);
}

}  // namespace zerodb
