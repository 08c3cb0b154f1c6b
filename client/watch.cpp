#include <thread>

#include "client/client_impl.hpp"
#include "client/public_types.hpp"

namespace zerodb {

using library::shown;

namespace {

constexpr std::chrono::milliseconds reconnect_after{200};

/// One call of Client::watch.
class Watch {
 public:
  Watch(BusClient& bus, const std::string& prefix, const EventSink& sink, WatchOptions options)
      : bus_(bus), sink_(sink), options_(std::move(options)) {
    request_.prefix = prefix;
    request_.wait_ms = static_cast<std::uint32_t>(options_.poll.count());
    if (!options_.durable.empty()) request_.durable = options_.durable;
    if (!options_.from) return;
    request_.since = options_.from->next;
    if (!options_.from->epoch.empty()) request_.epoch = options_.from->epoch;
  }

  Result<EventPosition> run() {
    bool moved = !options_.from || options_.durable.empty();
    while (!options_.stop.stop_requested()) {
      auto reply = bus_.events(request_);
      if (!reply) {
        if (!bus_.lost()) return fail(std::move(reply.error()));
        std::this_thread::sleep_for(reconnect_after);
        continue;
      }
      if (reply->gap || reply->reset) return lost(*reply);
      if (!moved) {
        // Before the first event is handled: whatever comes next, the follower stays there.
        if (auto done = move_follower(*reply); !done) return fail(std::move(done.error()));
        moved = true;
      }
      if (auto done = hand_on(*reply); !done) return fail(std::move(done.error()));
    }
    if (!request_.since) return fail(Errc::io, "the node was not reached before the watch ended");
    return EventPosition{.epoch = request_.epoch.value_or(""), .next = *request_.since};
  }

 private:
  /// All up to where the answer ends is handled, unless a stop or an error came in between.
  Status hand_on(client::Events::Reply& reply) {
    request_.epoch = reply.epoch;
    for (auto& event : reply.entries) {
      const auto sequence = event.sequence;
      if (options_.stop.stop_requested()) return handled_until(sequence);
      if (auto handled = sink_(shown(std::move(event))); !handled) {
        if (auto kept = handled_until(sequence); !kept) return kept;
        return handled;
      }
    }
    return handled_until(reply.next);
  }

  Status handled_until(std::uint64_t next) {
    request_.since = next;
    return acknowledge(next, false);
  }

  /// Durable when it returns. A node that is gone is waited for, as long as nobody asks to stop.
  Status acknowledge(std::uint64_t next, bool back) {
    if (options_.durable.empty() || next <= 1 || next == acknowledged_) return {};
    const client::EventsAck ack{
        .durable = options_.durable, .epoch = *request_.epoch, .sequence = next - 1, .back = back};
    for (;;) {
      const auto moved = bus_.events_ack(ack);
      if (moved) break;
      if (!bus_.lost() || options_.stop.stop_requested()) return fail(moved.error());
      std::this_thread::sleep_for(reconnect_after);
    }
    acknowledged_ = next;
    return {};
  }

  Status move_follower(const client::Events::Reply& reply) {
    request_.epoch = reply.epoch;
    return acknowledge(*request_.since == 0 ? reply.oldest : *request_.since, true);
  }

  Result<EventPosition> lost(const client::Events::Reply& reply) {
    const auto what =
        reply.reset ? std::string("the node's log of events is another one than before")
                    : "events before " + std::to_string(reply.oldest) + " are not kept any more";
    return fail(Errc::not_found, what + ": take position(), list what there is, watch from there");
  }

  BusClient& bus_;
  const EventSink& sink_;
  WatchOptions options_;
  client::Events request_;
  std::uint64_t acknowledged_ = 0;
};

}  // namespace

Result<EventPosition> Client::watch(const std::string& prefix, const EventSink& sink,
                                    WatchOptions options) {
  return Watch(impl_->bus, prefix, sink, std::move(options)).run();
}

Result<EventPosition> Client::position() {
  auto reply = impl_->bus.events({.limit = 1});
  if (!reply) return fail(std::move(reply.error()));
  return EventPosition{.epoch = std::move(reply->epoch), .next = reply->next};
}

}  // namespace zerodb
