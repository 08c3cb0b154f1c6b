#pragma once
// Follows a node's events (PROTOCOL.md, "events"): where it is, what comes next, and, under a
// durable name, the place that the node keeps for it. A node that is gone is waited for. One thread
// at a time, that of its BusClient.

#include <functional>
#include <optional>
#include <string>

#include "bus/client.hpp"

namespace zerodb {

class EventFollower {
 public:
  /// The node is gone, and why: whether to try again, soon.
  using WaitsFor = std::function<bool(const Error& why)>;

  /// Begins where `start` says. A durable follower that is told where (`since`) is moved there for
  /// good before it sees anything. `bus` outlives this.
  EventFollower(BusClient& bus, client::Events start, WaitsFor waits_for);

  /// What comes next, at most `limit`; nothing if nothing happens within `start.wait_ms`. Shows the
  /// same again until handled_until() was told how far. Look at is_lost() first. Errors are those
  /// of BusClient::events().
  Result<client::Events::Reply> next(std::optional<std::uint32_t> limit = {});

  /// All before the event `next` is done with. Durable when it returns, if the follower is.
  Status handled_until(std::uint64_t next);

  /// The first event that is not done with; nothing before next() was answered.
  std::optional<std::uint64_t> position() const { return request_.since; }
  /// Of the log that position() is in; empty if not known.
  std::string epoch() const { return request_.epoch.value_or(""); }

 private:
  template <class Call>
  auto ask(const Call& call);
  Status acknowledge(std::uint64_t next, bool back);

  BusClient& bus_;
  client::Events request_;
  WaitsFor waits_for_;
  bool to_be_moved_;
  std::uint64_t acknowledged_ = 0;  ///< all before it, at the node
};

/// Some events are gone for this follower: it must list what there is, and go on at `reply.next`.
bool is_lost(const client::Events::Reply& reply);
/// Which, for a person.
std::string what_is_lost(const client::Events::Reply& reply);

}  // namespace zerodb
