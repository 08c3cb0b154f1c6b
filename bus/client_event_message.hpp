#pragma once
// What clients ask about events and are answered: see client_message.hpp.

#include <optional>
#include <string>
#include <vector>

#include "bus/client_object_message.hpp"
#include "bus/message_fields.hpp"

namespace zerodb::client {

/// A store or deletion of the owner's, as the node that answers came to know of it.
struct Event {
  std::uint64_t sequence = 0;  ///< grows by one from event to event of a node
  std::string kind;            ///< "store" or "delete"
  std::string key;
  std::uint64_t version = 0;
  std::uint64_t size = 0;
  std::optional<std::int64_t> mtime_ms;
  std::uint64_t time_ms = 0;  ///< when the node came to know of it, UTC
  ZERODB_FIELDS(field("sequence", self.sequence); field("kind", self.kind); field("key", self.key);
                field("version", self.version); field("size", self.size);
                field("mtime_ms", self.mtime_ms); field("time_ms", self.time_ms);)
};

/// An event as subscribers get it: under the topic "store KEY" or "delete KEY".
struct Published {
  static constexpr std::string_view name = "event";
  std::string epoch;  ///< hexadecimal
  Event event;
  ZERODB_FIELDS(field("epoch", self.epoch); Event::visit(self.event, field);)
};

/// What is in the node's log of events, and what comes within `wait_ms`.
struct Events {
  static constexpr std::string_view name = "events";
  std::optional<std::uint64_t> since;  ///< the first wanted; 0: all there are; absent: see below
  std::optional<std::string> epoch;    ///< that `since` is of
  std::optional<std::string> durable;  ///< of this follower; without `since`, from where it is
  std::optional<std::string> prefix;   ///< of the keys wanted
  std::optional<std::uint32_t> limit;
  std::optional<std::uint32_t> wait_ms;  ///< for the first event; 0 if absent
  struct Reply {
    static constexpr std::string_view name = "events.ok";
    std::string epoch;
    std::vector<Event> entries;
    std::uint64_t next = 0;    ///< `since` of the next request
    std::uint64_t oldest = 0;  ///< the first that the log still has
    bool gap = false;          ///< events before `oldest` were wanted: list, go on at `next`
    bool reset = false;        ///< the log is another than before: list, go on at `next`
    ZERODB_FIELDS(field("epoch", self.epoch); field("entries", self.entries);
                  field("next", self.next); field("oldest", self.oldest); field("gap", self.gap);
                  field("reset", self.reset);)
  };
  ZERODB_FIELDS(field("since", self.since); field("epoch", self.epoch);
                field("durable", self.durable); field("prefix", self.prefix);
                field("limit", self.limit); field("wait_ms", self.wait_ms);)
};

/// Where a durable follower is.
struct Follower {
  static constexpr std::string_view name = "follower";
  std::string durable;
  std::string epoch;
  std::uint64_t next = 0;  ///< the first event it has not acknowledged
  ZERODB_FIELDS(field("durable", self.durable); field("epoch", self.epoch);
                field("next", self.next);)
};

/// All up to `sequence` are done with, durably.
struct EventsAck {
  static constexpr std::string_view name = "events_ack";
  std::string durable;
  std::string epoch;
  std::uint64_t sequence = 0;
  std::optional<bool> back;  ///< even if the follower is further
  using Reply = Follower;
  ZERODB_FIELDS(field("durable", self.durable); field("epoch", self.epoch);
                field("sequence", self.sequence); field("back", self.back);)
};

struct Followers {
  static constexpr std::string_view name = "followers";
  struct Entry {
    std::string durable;
    std::uint64_t next = 0;
    std::uint64_t behind = 0;  ///< events it has not acknowledged
    bool lost = false;         ///< some of those are gone: it must list
    ZERODB_FIELDS(field("durable", self.durable); field("next", self.next);
                  field("behind", self.behind); field("lost", self.lost);)
  };
  struct Reply {
    static constexpr std::string_view name = "followers.ok";
    std::string epoch;
    std::uint64_t oldest = 0;
    std::uint64_t next = 0;
    std::vector<Entry> entries;
    ZERODB_FIELDS(field("epoch", self.epoch); field("oldest", self.oldest);
                  field("next", self.next); field("entries", self.entries);)
  };
  ZERODB_FIELDS()
};

struct FollowerRemove {
  static constexpr std::string_view name = "follower_remove";
  std::string durable;
  using Reply = Ok;
  ZERODB_FIELDS(field("durable", self.durable);)
};

}  // namespace zerodb::client
