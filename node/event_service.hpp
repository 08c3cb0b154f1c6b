#pragma once
// What clients ask about events, and what they are told of them: long polls over the log of the
// owner's gateway, durable followers, and the publisher that wakes subscribers. One thread: the
// node's executor, which must have let go of all that is under way before this goes.

#include <map>

#include "bus/client_port.hpp"
#include "bus/event_port.hpp"
#include "node/gateway.hpp"

namespace zerodb {

struct EventServiceOptions {
  std::size_t waits_per_client_max = 16;  ///< requests of one client that wait for events
  Milliseconds wait_max{30'000};
};

class EventService {
 public:
  /// `gateway` answers with nothing on a node that holds no owner's key.
  EventService(NodeContext context, std::function<std::shared_ptr<Gateway>()> gateway,
               EventServiceOptions options);

  using Reply = Task<Result<ClientAnswer>>;
  Reply events(ClientId client, client::Events request);
  Reply ack(client::EventsAck request);
  Reply followers();
  Reply remove(client::FollowerRemove request);

  /// Events are published there from when somebody listens, see on_subscribed(). It outlives this,
  /// or is taken back with a null pointer.
  void set_sink(EventSink* sink) { sink_ = sink; }
  void on_subscribed();

  /// Ends all waits.
  void stop();

 private:
  using GatewayPtr = std::shared_ptr<Gateway>;
  /// Where a request begins, and in which log.
  struct Start {
    std::uint64_t from = 0;
    LogEpoch epoch;
  };

  Task<Result<Start>> start_of(GatewayPtr gateway, const client::Events& request);
  Task<Result<Start>> start_of_follower(GatewayPtr gateway, const client::Events& request,
                                        EventLogState log);
  Reply poll(GatewayPtr gateway, client::Events request);
  Task<void> wait(GatewayPtr gateway, std::uint64_t until_ms);
  Task<void> watch_deadlines();
  Task<void> publish();
  Task<void> publish_from(GatewayPtr gateway);
  bool is_publishing(const GatewayPtr& gateway) const;

  NodeContext context_;
  std::function<GatewayPtr()> gateway_;
  EventServiceOptions options_;
  EventSink* sink_ = nullptr;
  std::map<ClientId, std::size_t> waits_;
  std::multimap<std::uint64_t, GatewayPtr> deadlines_;  ///< steady, of waits under way
  bool watching_ = false;
  bool publishing_ = false;
  bool stopped_ = false;
};

}  // namespace zerodb
