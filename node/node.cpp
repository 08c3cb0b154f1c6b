#include "node/node.hpp"

#include "store/recovery.hpp"
#include "store/version.hpp"

namespace zerodb {

namespace {

constexpr Milliseconds housekeeping_interval{10'000};
constexpr Milliseconds answer_timeout{2'000};

Result<ClientAnswer> text_answer(std::string text) {
  return ClientAnswer{client::Text{std::move(text)}, {}};
}

tl::unexpected<Error> no_owner() {
  return fail(Errc::denied,
              "this node holds no owner's key; ask one of the owner's gateways, or give it the key "
              "with: zdb owner import");
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
  Reply operator()(peer::GetDigests& request) { return replica.get_digests(caller.key, request); }
  Reply operator()(peer::GetEntries& request) {
    return replica.get_entries(caller.key, std::move(request));
  }
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
      replica_(context, options_.replica),
      reconcile_(context, options_.reconcile,
                 [this](const SignedRoster& roster) {
                   // A roster that is not kept is only taken over again after a restart.
                   static_cast<void>(files_.save_settled_roster(roster));
                 }),
      hand_over_(context, options_.hand_over),
      tombstones_(context, options_.tombstones),
      clients_(
          context, [this] { return gateway_; }, options_.clients) {
  if (owner) set_owner(std::move(*owner));
}

Node::~Node() = default;

void Node::set_owner(OwnerKeys keys) {
  OpenNames open_names;
  if (files_.open_names) {
    const auto key = std::make_shared<const Secret<32>>(keys.catalogue_key().clone());
    open_names = [open = files_.open_names, owner = keys.id(), key] { return open(owner, *key); };
  }
  gateway_ =
      std::make_shared<Gateway>(context_, std::move(keys), options_.gateway, std::move(open_names));
}

void Node::start() {
  started_ms_ = context_.runtime.steady_ms();
  running_ = true;
  context_.mesh.on_change([this] {
    subscribe();
    reconcile_.on_roster_change();
  });
  subscribe();
  reconcile_.start();
  hand_over_.start();
  tombstones_.start();
  spawn(context_.runtime, housekeeping());
}

void Node::stop() {
  running_ = false;
  reconcile_.stop();
  hand_over_.stop();
  tombstones_.stop();
  clients_.drop_all();
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
    const auto keep = static_cast<std::uint64_t>(options_.superseded_keep.count());
    const auto before = context_.runtime.now_ms() - std::min(keep, context_.runtime.now_ms());
    // What cannot be dropped now is found again by the next sweep.
    static_cast<void>(co_await offload(context_.runtime,
                                       [this, before] { return context_.store.sweep(before); }));
  }
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

/// What a put brought here is no news: the own store tells it to the catalogue as well.
bool Node::is_news(const broadcast::Message& message) const {
  const auto* manifest = broadcast::manifest_of(message);
  return manifest == nullptr || !replica_.has_just_taken(*manifest);
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
  reconcile_.on_news(from, std::move(manifest));
}

Task<void> Node::answer_who_has(NodeId asker, broadcast::Get question) {
  const ObjectId object{question.owner, question.hashed_key};
  const auto latest =
      co_await offload(context_.runtime, [this, object] { return context_.store.latest(object); });
  if (!latest) co_return;  // a disk that cannot be read knows nothing
  peer::Have answer{.nonce = question.nonce, .manifest = {}};
  if (*latest) answer.manifest = (*latest)->wire();
  // The asker does not wait for us longer than for others.
  static_cast<void>(co_await call(context_.links, asker, std::move(answer), {}, answer_timeout));
}

void Node::on_peer_time(std::uint64_t their_ms) {
  if (gateway_) gateway_->on_peer_time(their_ms);
}

void Node::on_link_up(NodeId node) {
  reconcile_.on_link_up(node);
}

void Node::on_link_down(NodeId) {}

// ------------------------------------------------------------------------------------- clients

Task<Result<ClientAnswer>> Node::on_client_request(ClientId client, client::Request request,
                                                   Payload payload) {
  if (std::holds_alternative<client::Status>(request)) co_return co_await status();
  if (const auto* asked = std::get_if<client::Invite>(&request)) co_return invite(*asked);
  if (std::holds_alternative<client::OwnerShow>(request)) co_return owner_id();
  if (std::holds_alternative<client::OwnerExport>(request)) co_return owner_export();
  if (const auto* asked = std::get_if<client::OwnerImport>(&request)) {
    co_return owner_import(*asked);
  }
  co_return co_await clients_.handle(client, std::move(request), std::move(payload));
}

void Node::on_client_gone(ClientId client) {
  clients_.gone(client);
}

/// What a change of the roster leaves to be moved to and from this node.
client::Status::Move Node::move_left(const std::vector<PartitionSize>& sizes) const {
  const auto& mesh = context_.mesh;
  const auto left = reconcile_.left(sizes);
  const auto misplaced = misplaced_in(sizes, mesh);
  client::Status::Move move{.waits_for = {},
                            .take_over_partitions = left.partitions,
                            .take_over_bytes = left.bytes,
                            .hand_over_partitions = misplaced.partitions.size(),
                            .hand_over_bytes = misplaced.bytes,
                            .bytes_per_s = left.bytes_per_s,
                            .eta_s = {}};
  for (const auto& node : mesh.unsettled())
    move.waits_for.push_back(mesh.roster().find(node)->name);
  if (left.bytes > 0 && left.bytes_per_s > 0) move.eta_s = left.bytes / left.bytes_per_s;
  return move;
}

Task<Result<ClientAnswer>> Node::status() {
  const auto stats = co_await offload(context_.runtime, [this] { return context_.store.stats(); });
  const auto sizes = co_await offload(context_.runtime, [this] { return context_.store.sizes(); });
  const auto& mesh = context_.mesh;
  client::Status::Reply reply;
  reply.program_version = version();
  reply.mesh = mesh.roster().mesh.hex();
  if (gateway_) reply.owner = gateway_->keys().id().hex();
  reply.roster_version = mesh.roster().version;
  reply.mesh_key = membership_.holds_mesh_key();
  reply.replicas = mesh.placement().replicas();
  reply.write_quorum = write_quorum(reply.replicas);
  reply.objects = stats.objects;
  reply.tombstones = stats.tombstones;
  reply.blob_bytes = stats.blob_bytes;
  reply.free_bytes = stats.free_bytes;
  reply.total_bytes = stats.total_bytes;
  reply.uploads = stats.uploads;
  reply.uptime_s = (context_.runtime.steady_ms() - started_ms_) / 1000;
  reply.disk_suspect = stats.suspect;
  reply.superseded = stats.superseded;
  reply.superseded_bytes = stats.superseded_bytes;
  reply.move = move_left(sizes);
  for (const auto& member : mesh.roster().members) {
    const bool here = member.node == mesh.self();
    const auto link =
        here ? LinkState{.up = true, .heard_ms_ago = 0} : context_.links.state(member.node);
    const auto address = membership_.address_of(member.node);
    reply.members.push_back({.id = member.node.hex(),
                             .node_name = member.name,
                             .zone = member.zone,
                             .endpoint = address ? address->endpoint : "",
                             .weight = member.weight,
                             .blind = member.blind,
                             .here = here,
                             .up = link.up,
                             .heard_ms_ago = link.heard_ms_ago});
  }
  co_return ClientAnswer{std::move(reply), {}};
}

Result<ClientAnswer> Node::invite(const client::Invite& request) {
  auto ticket = membership_.invite(request, gateway_ ? &gateway_->keys() : nullptr);
  if (!ticket) return fail(std::move(ticket.error()));
  return text_answer(std::move(*ticket));
}

Result<ClientAnswer> Node::owner_id() const {
  if (!gateway_) return no_owner();
  return text_answer(gateway_->keys().id().hex());
}

Result<ClientAnswer> Node::owner_export() const {
  if (!gateway_) return no_owner();
  return text_answer(recovery_text(gateway_->keys().seed()));
}

Result<ClientAnswer> Node::owner_import(const client::OwnerImport& request) {
  const auto* self = context_.mesh.roster().find(context_.mesh.self());
  if (self != nullptr && self->blind) {
    return fail(Errc::denied, "this node joined as blind, so that it never holds an owner's key");
  }
  auto seed = seed_from_recovery_text(request.text);
  if (!seed) return fail(std::move(seed.error()));
  OwnerKeys keys(*seed);
  const auto id = keys.id();
  if (gateway_ && gateway_->keys().id() == id) return text_answer(id.hex());
  if (gateway_ && !request.replace) {
    return fail(Errc::denied, "this node already serves the owner " + gateway_->keys().id().hex() +
                                  "; to put that key aside, repeat with --replace");
  }
  if (auto saved = files_.save_owner(*seed); !saved) return fail(std::move(saved.error()));
  set_owner(std::move(keys));
  subscribe();
  return text_answer(id.hex());
}

}  // namespace zerodb
