#pragma once
// The event log in the database of an owner's names: what it adds to a batch of names, and how it
// is read. Private to store/. One writer at a time, as its owner sees to; page() is thread-safe.

#include <mutex>

#include "store/event_log.hpp"
#include "store/name_database.hpp"

namespace rocksdb {
class WriteBatch;
}

namespace zerodb {

class DiskEventLog {
 public:
  /// Begins a log if there is none. `corrupt` if what there is cannot be right.
  static Result<std::unique_ptr<DiskEventLog>> open(NameDatabase& database);

  /// What a batch changes counts once it was written.
  struct Change {
    EventLogState state;
    bool durable = false;
  };

  Change begin() const { return {.state = state()}; }
  void append(rocksdb::WriteBatch& batch, Change& change, LoggedEvent event) const;
  /// Drops what is beyond the bounds from the log's beginning.
  Status trim(rocksdb::WriteBatch& batch, Change& change, const EventBounds& bounds,
              std::uint64_t now_ms);
  void written(const Change& change);

  /// True if there is something that no synced write followed.
  bool needs_sync() const;
  /// Of what is synced: needs_sync() is looked at before.
  Result<EventPage> page(const EventQuery& query) const;

 private:
  explicit DiskEventLog(NameDatabase& database) : database_(database) {}
  Status load();
  EventLogState state() const;
  EventLogState durable() const;
  Result<std::uint64_t> first_younger_than(std::uint64_t time_ms, const EventLogState& state) const;

  NameDatabase& database_;
  mutable std::mutex mutex_;
  EventLogState state_;
  std::uint64_t durable_next_ = 0;
  std::uint64_t ages_looked_at_ms_ = 0;
};

}  // namespace zerodb
