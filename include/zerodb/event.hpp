#pragma once
// What Client::watch hands on, and where a watch is. Plain values. bus/PROTOCOL.md says more of
// each ("events").

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "zerodb/result.hpp"

namespace zerodb {

/// An object was stored or removed, through whichever of its owner's gateways.
struct Event {
  enum class Kind : std::uint8_t { stored, removed };

  std::uint64_t sequence = 0;  ///< grows by one from event to event of a node, prefix or not
  Kind kind = Kind::stored;
  std::string key;
  std::uint64_t version = 0;
  std::uint64_t size = 0;                ///< bytes; 0 for a removal
  std::optional<std::int64_t> mtime_ms;  ///< since 1970, as the writer said
  std::uint64_t time_ms = 0;             ///< since 1970: when the node came to know of it
};

/// A place in one node's log of events.
struct EventPosition {
  std::string epoch;       ///< of the log; empty: of whichever log the node has
  std::uint64_t next = 0;  ///< the first event that is not handled yet; 0: the oldest there is
};

/// Handles one event. An error ends the watch, and the event counts as not handled.
using EventSink = std::function<Status(const Event&)>;

struct WatchOptions {
  /// Where to begin. If absent, a durable follower goes on where it was, and every other begins
  /// with what happens from now on.
  std::optional<EventPosition> from;
  /// The name of a durable follower, whose position the node keeps; none if empty.
  std::string durable;
  /// Ends the watch, after the event that is being handled.
  std::stop_token stop;
  std::chrono::milliseconds poll{1'000};  ///< a node that answers lets a stop be noticed within it
};

}  // namespace zerodb
