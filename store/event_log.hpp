#pragma once
// What a gateway's event log tells: the stores and deletions of its owner, in the order in which
// the gateway came to know of them. The log lies in the store of names (name_store.hpp), so that a
// name and its event are written together. Values; thread-safe.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "store/ids.hpp"
#include "store/manifest.hpp"

namespace zerodb {

struct LogEpochTag {
  static constexpr std::string_view name = "epoch";
};
/// Random, one per log: sequence numbers mean something within their epoch only.
using LogEpoch = Id<LogEpochTag, 16>;

struct NameEntry {
  std::string name;
  std::uint64_t size = 0;
  Version version;
  std::optional<std::int64_t> mtime_ms;
  bool operator==(const NameEntry&) const = default;
};

struct LoggedEvent {
  std::uint64_t sequence = 0;
  std::uint64_t time_ms = 0;  ///< when the gateway learnt of it, UTC
  bool deleted = false;
  NameEntry entry;
  bool operator==(const LoggedEvent&) const = default;
};

/// Which events there are: those from `oldest` up to, and without, `next`.
struct EventLogState {
  LogEpoch epoch;
  std::uint64_t oldest = 1;
  std::uint64_t next = 1;
};

struct EventQuery {
  std::uint64_t from = 1;
  std::string prefix;
  std::size_t limit = 1000;
};

struct EventPage {
  EventLogState log;
  std::vector<LoggedEvent> events;
  std::uint64_t next = 1;  ///< all before it were looked at: where to go on
};

/// What is dropped from the log's beginning.
struct EventBounds {
  std::uint64_t count_max = 1'000'000;
  std::uint64_t keep_ms = 7ULL * 86'400'000;
};

/// What bounds a page of events, whoever makes it.
class EventPageBuilder {
 public:
  EventPageBuilder(const EventQuery& query, const EventLogState& log);
  /// In the order of sequence numbers. False once the page is full: the event was not looked at.
  bool add(LoggedEvent event);
  /// All up to the log's end were added.
  void reached_end();
  EventPage finish() { return std::move(page_); }

 private:
  const EventQuery& query_;
  std::size_t bytes_ = 0;
  std::size_t looked_at_ = 0;
  EventPage page_;
};

/// An event without its sequence number, as it lies in the log.
std::string encode_event(const LoggedEvent& event);
/// `corrupt` if it is none.
Result<LoggedEvent> decode_event(std::uint64_t sequence, ByteView value);

}  // namespace zerodb
