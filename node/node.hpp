#pragma once
// The composition of a node over the seam: hands each request, broadcast and client command to the
// part it is for, and keeps the parts' clocks ticking. Knows no sockets and no files, so that a
// simulation runs the same node as the daemon does. One thread: the node's executor.

#include <functional>
#include <memory>
#include <optional>

#include "bus/client_port.hpp"
#include "node/client_service.hpp"
#include "node/event_service.hpp"
#include "node/gateway.hpp"
#include "node/hand_over.hpp"
#include "node/health.hpp"
#include "node/membership.hpp"
#include "node/node_context.hpp"
#include "node/reconcile.hpp"
#include "node/replica.hpp"
#include "node/scrubber.hpp"
#include "node/tombstone_sweep.hpp"

namespace zerodb {

struct NodeOptions {
  ReplicaOptions replica;
  ReconcileOptions reconcile;
  HandOverOptions hand_over;
  TombstoneSweepOptions tombstones;
  GatewayOptions gateway;
  ClientServiceOptions clients;
  EventServiceOptions events;
  ScrubOptions scrub;
  Milliseconds superseded_keep{600'000};  ///< versions that were overwritten stay this long
};

/// What a node needs done with files, each durable when it returns.
struct NodeFiles {
  std::function<Status(const SignedRoster&)> save_settled_roster;
  /// Keeps an imported owner's seed in place of the one there may be.
  std::function<Status(const Seed&)> save_owner;
  /// Opens where an owner's names are kept; in memory if there is no such function.
  std::function<Result<std::unique_ptr<NameStore>>(const OwnerId&, const Secret<32>& key)>
      open_names;
  /// Where an owner's durable followers are kept; in memory if there is no such function.
  std::function<FollowersFile(const OwnerId&)> followers;
  ScrubFiles scrub{};
};

class Node final : public LinkHandler, public ClientHandler {
 public:
  /// `owner` makes this node a gateway; without one it is blind or waits for an import.
  Node(NodeContext context, Membership& membership, std::optional<OwnerKeys> owner,
       NodeOptions options, NodeFiles files);
  ~Node() override;

  void start();
  void stop();

  Gateway* gateway() { return gateway_.get(); }
  /// Whom to tell of events, until stop().
  void publish_to(EventSink& sink) { events_.set_sink(&sink); }
  void on_subscribed() { events_.on_subscribed(); }
  bool is_idle() const { return reconcile_.is_idle(); }

  /// Another member's clock, from its answer to a ping.
  void on_peer_time(std::uint64_t their_ms);

  Task<Result<PeerAnswer>> on_request(Caller caller, peer::Request request,
                                      Payload payload) override;
  bool is_news(const broadcast::Message& message) const override;
  void on_broadcast(NodeId from, broadcast::Message message) override;
  void on_link_up(NodeId node) override;
  void on_link_down(NodeId node) override;

  Task<Result<ClientAnswer>> on_client_request(ClientId client, ClientIdentity identity,
                                               client::Request request, Payload payload) override;
  void on_client_gone(ClientId client) override;

 private:
  void set_owner(OwnerKeys keys);
  void subscribe();
  Task<void> housekeeping();
  Task<void> sweep_store();
  Task<void> watch_health();
  Task<void> watch_disk();
  void say_what_was_recovered(const StoreStats& stats);
  Task<void> answer_who_has(NodeId asker, broadcast::Get question);

  struct ClientDispatch;
  Task<Result<ClientAnswer>> status();
  void add_health(const StoreStats& stats, client::Status::Reply& reply) const;
  client::Status::Move move_left(const std::vector<PartitionSize>& sizes) const;
  client::Status::Member status_of(const RosterMember& member) const;
  Task<Result<ClientAnswer>> scrub(client::Scrub request);
  Result<ClientAnswer> invite(const client::Invite& request);
  Result<ClientAnswer> owner_id() const;
  Result<ClientAnswer> owner_export() const;
  Result<ClientAnswer> owner_import(const client::OwnerImport& request);

  NodeContext context_;
  Membership& membership_;
  NodeOptions options_;
  NodeFiles files_;
  Replica replica_;
  Reconcile reconcile_;
  HandOver hand_over_;
  TombstoneSweep tombstones_;
  std::shared_ptr<Gateway> gateway_;  // shared with requests under way, which outlive an import
  ClientService clients_;
  EventService events_;
  std::shared_ptr<Scrubber> scrubber_;  // shared with its walk, which may outlive a stop
  HealthLog health_;
  std::uint64_t started_ms_ = 0;
  bool running_ = false;
};

}  // namespace zerodb
