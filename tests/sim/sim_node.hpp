#pragma once
// One node of a simulated mesh: the real mesh, replica, reconcile and sweepers over a simulated
// runtime, links and disk. Rosters are handed over without messages; greetings tell the rest. A
// gateway may be hung onto it. One thread.

#include <memory>
#include <string>
#include <vector>

#include "node/hand_over.hpp"
#include "node/reconcile.hpp"
#include "node/replica.hpp"
#include "node/tombstone_sweep.hpp"
#include "store/keys.hpp"
#include "tests/sim/memory_store.hpp"
#include "tests/sim/sim_network.hpp"

namespace zerodb::sim {

struct SimNodeOptions {
  ReplicaOptions replica;
  ReconcileOptions reconcile;
  HandOverOptions hand_over;
  TombstoneSweepOptions tombstones;
  Milliseconds tombstone_keep{std::chrono::hours(24)};
  Milliseconds greeting_interval{1'000};
};

class SimNode : public LinkHandler {
 public:
  SimNode(SimNetwork& network, NodeKeys keys, SignedRoster roster,
          std::optional<SignedRoster> settled, SimNodeOptions options,
          std::vector<SignedRoster> older = {});

  const NodeId& id() const { return keys.curve.public_key; }
  NodeContext context() {
    return {.runtime = runtime,
            .links = links,
            .store = store,
            .mesh = mesh,
            .sign_key = &keys.sign,
            .tombstone_keep = options_.tombstone_keep};
  }

  /// As after a restart of the process: transfers and plans are gone, the disk stays.
  void restart();
  /// Restarts with a new disk in place of the old one.
  void lose_disk();
  void stop();
  /// As the node does now and then; of earlier lives, too.
  void drop_idle_transfers();
  /// Also hears of these owners' objects, as their gateway does.
  void follow(std::set<OwnerId> owners);

  // Where a gateway listens.
  std::function<void(NodeId, const peer::Have&)> on_have;
  std::function<void(ByteView manifest)> on_news;
  std::function<bool()> is_followed;  ///< then what this node took itself is news, too

  Task<Result<PeerAnswer>> on_request(Caller caller, peer::Request request,
                                      Payload payload) override;
  bool is_news(const broadcast::Message& message) const override;
  void on_broadcast(NodeId from, broadcast::Message message) override;
  void on_link_up(NodeId node) override;
  void on_link_down(NodeId) override {}

  NodeKeys keys;
  SimRuntime runtime;
  MemoryStore store;
  Mesh mesh;
  SimLinks links;
  std::optional<SignedRoster> remembered;  ///< the roster this node said it is settled under
  std::unique_ptr<Replica> replica;
  std::unique_ptr<Reconcile> reconcile;
  std::unique_ptr<HandOver> hand_over;
  std::unique_ptr<TombstoneSweep> tombstones;

 private:
  void apply_roster();
  Task<Result<PeerAnswer>> on_hello(NodeId from, peer::Hello request);
  static Task<void> greet(SimNode& self);
  static Task<void> send_hello(SimNode& self, NodeId to, peer::Hello hello);
  Task<void> answer_get(NodeId to, broadcast::Get get);

  SimNodeOptions options_;
  std::set<OwnerId> owners_;
  std::vector<std::unique_ptr<Replica>> old_replicas_;  ///< coroutines may still be in them
};

}  // namespace zerodb::sim
