// What clients ask of the node itself: its state, its owner, the mesh. The rest is passed on.
#include "node/node.hpp"
#include "store/recovery.hpp"
#include "store/version.hpp"

namespace zerodb {

namespace {

Result<ClientAnswer> text_answer(std::string text) {
  return ClientAnswer{client::Text{std::move(text)}, {}};
}

Result<ClientAnswer> text_answer(Result<std::string> text) {
  if (!text) return fail(std::move(text.error()));
  return text_answer(std::move(*text));
}

tl::unexpected<Error> no_owner() {
  return fail(Errc::denied,
              "this node holds no owner's key; ask one of the owner's gateways, or give it the key "
              "with: zdb owner import");
}

}  // namespace

/// One request of a client, by the part it is for.
struct Node::ClientDispatch {
  Node& node;
  ClientId client;
  ClientIdentity identity;
  Payload payload;

  using Reply = Task<Result<ClientAnswer>>;

  Reply operator()(client::Status&) { return node.status(); }
  Reply operator()(client::Scrub& request) { return node.scrub(request); }
  Reply operator()(client::Invite& request) { return at_once(node.invite(request)); }
  Reply operator()(client::OwnerShow&) { return at_once(node.owner_id()); }
  Reply operator()(client::OwnerExport&) { return at_once(node.owner_export()); }
  Reply operator()(client::OwnerImport& request) { return at_once(node.owner_import(request)); }
  Reply operator()(client::NodeSet& request) {
    return changed(node.membership_.node_set(std::move(request)));
  }
  Reply operator()(client::NodeRemove& request) {
    return changed(node.membership_.node_remove(std::move(request)));
  }
  Reply operator()(client::MeshExport&) {
    return at_once(text_answer(node.membership_.mesh_export()));
  }
  Reply operator()(client::MeshImport& request) {
    return at_once(text_answer(node.membership_.mesh_import(request.text)));
  }
  Reply operator()(client::Events& request) {
    return node.events_.events(client, std::move(request));
  }
  Reply operator()(client::EventsAck& request) { return node.events_.ack(std::move(request)); }
  Reply operator()(client::Followers&) { return node.events_.followers(); }
  Reply operator()(client::FollowerRemove& request) {
    return node.events_.remove(std::move(request));
  }
  /// Objects.
  template <class Request>
  Reply operator()(Request& request) {
    return node.clients_.handle(client, identity, std::move(request), std::move(payload));
  }

  static Reply at_once(Result<ClientAnswer> answer) { co_return answer; }
  static Reply changed(Task<Result<client::NodeChanged>> changing) {
    auto changed = co_await std::move(changing);
    if (!changed) co_return fail(std::move(changed.error()));
    co_return ClientAnswer{std::move(*changed), {}};
  }
};

Task<Result<ClientAnswer>> Node::on_client_request(ClientId client, ClientIdentity identity,
                                                   client::Request request, Payload payload) {
  ClientDispatch dispatch{*this, client, identity, std::move(payload)};
  auto answering = std::visit(dispatch, request);
  co_return co_await std::move(answering);
}

void Node::on_client_gone(ClientId client) {
  clients_.gone(client);
}

/// What a change of the roster leaves to be moved to and from this node.
client::Status::Move Node::move_left(const std::vector<PartitionSize>& sizes) const {
  const auto& mesh = context_.mesh;
  const auto left = reconcile_.left(sizes);
  const auto misplaced = misplaced_in(sizes, mesh);
  client::Status::Move move{.take_over_partitions = left.partitions,
                            .take_over_bytes = left.bytes,
                            .hand_over_partitions = misplaced.partitions.size(),
                            .hand_over_bytes = misplaced.bytes,
                            .bytes_per_s = left.bytes_per_s};
  for (const auto& node : mesh.waited_for())
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
  reply.removed = mesh.roster().find(mesh.self()) == nullptr;
  reply.replicas = mesh.placement().replicas();
  reply.write_quorum = write_quorum(reply.replicas);
  reply.objects = stats.objects;
  reply.tombstones = stats.tombstones;
  reply.blob_bytes = stats.blob_bytes;
  reply.free_bytes = stats.free_bytes;
  reply.total_bytes = stats.total_bytes;
  reply.uploads = stats.uploads;
  reply.uptime_s = (context_.runtime.steady_ms() - started_ms_) / 1000;
  reply.superseded = stats.superseded;
  reply.superseded_bytes = stats.superseded_bytes;
  add_health(stats, reply);
  reply.puts_timed = clients_.small_puts().count();
  reply.put_p50_us = clients_.small_puts().percentile_us(50);
  reply.put_p99_us = clients_.small_puts().percentile_us(99);
  reply.move = move_left(sizes);
  for (const auto& member : mesh.roster().members)
    reply.members.push_back(status_of(member));
  co_return ClientAnswer{std::move(reply), {}};
}

client::Status::Member Node::status_of(const RosterMember& member) const {
  const bool here = member.node == context_.mesh.self();
  const auto uptime_ms = context_.runtime.steady_ms() - started_ms_;
  const auto link = here ? LinkState{.up = true,
                                     .heard_ms_ago = 0,
                                     .health = Health::alive,
                                     .since_ms_ago = uptime_ms}
                         : context_.links.state(member.node);
  const auto address = membership_.address_of(member.node);
  return {.id = member.node.hex(),
          .sign_key = member.sign_key.hex(),
          .node_name = member.name,
          .zone = member.zone,
          .endpoint = address ? address->endpoint : "",
          .weight = member.weight,
          .blind = member.blind,
          .here = here,
          .up = link.up,
          .health = std::string(to_string(link.health)),
          .since_ms_ago = link.since_ms_ago,
          .heard_ms_ago = link.heard_ms_ago,
          .draining = member.draining,
          .drained = context_.mesh.is_drained(member.node),
          .administers = membership_.administers(member.node),
          .refuses = link.refuses};
}

void Node::add_health(const StoreStats& stats, client::Status::Reply& reply) const {
  reply.disk_suspect = stats.suspect;
  reply.read_only = stats.read_only;
  reply.damaged = stats.damaged;
  reply.index_rebuilt = stats.index_rebuilt;
  reply.index_damaged = stats.index_damaged;
  reply.quarantine_files = stats.quarantine_files;
  reply.quarantine_bytes = stats.quarantine_bytes;
  if (!gateway_) return;
  reply.chunks_damaged = gateway_->counters().chunks_damaged;
  reply.chunks_hedged = gateway_->counters().chunks_hedged;
}

Task<Result<ClientAnswer>> Node::scrub(client::Scrub request) {
  const auto scrubber = scrubber_;
  if (request.start) scrubber->begin_now();
  const auto before = scrubber->status();
  if (request.wait && (before.walking || before.repairing)) {
    co_await Scrubber::wait(scrubber, Milliseconds(1'000));
  }
  const auto stats = co_await offload(context_.runtime, [this] { return context_.store.stats(); });
  const auto now = scrubber->status();
  const auto& counts = now.state.counts;
  co_return ClientAnswer{client::Scrub::Reply{.walking = now.walking,
                                              .repairing = now.repairing,
                                              .done_per_mille = now.done_per_mille,
                                              .versions = counts.versions,
                                              .bytes = counts.bytes,
                                              .found = counts.damaged,
                                              .repaired = now.state.repaired,
                                              .orphans = counts.orphans,
                                              .damaged = stats.damaged,
                                              .started_ms = now.state.started_ms,
                                              .finished_ms = now.state.finished_ms,
                                              .trouble = now.trouble},
                         {}};
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
