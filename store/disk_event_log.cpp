#include "store/disk_event_log.hpp"

#include <rocksdb/write_batch.h>

#include <array>

#include "store/hash.hpp"

namespace zerodb {
namespace {

using rocksdb::Slice;
using IteratorPtr = std::unique_ptr<rocksdb::Iterator>;
using SequenceKey = std::array<std::uint8_t, 8>;

constexpr std::string_view log_note = "log";  // epoch ‖ next
constexpr std::size_t log_note_bytes = LogEpoch::size + 8;
constexpr std::uint64_t single_deletes_max = 1'000;  // one deletion of a range above
constexpr std::uint64_t ages_every_ms = 10'000;
constexpr std::size_t aged_at_once_max = 100'000;

SequenceKey key_of(std::uint64_t sequence) {
  SequenceKey key{};
  put_u64(key, sequence);
  return key;
}

Result<std::uint64_t> sequence_in(const rocksdb::Iterator& at) {
  if (at.key().size() != 8) return fail(Errc::corrupt, "catalogue: an event's key");
  return get_u64(bytes_of(at.key()));
}

std::string encode(const EventLogState& state) {
  Bytes value(log_note_bytes);
  std::ranges::copy(state.epoch.view(), value.begin());
  put_u64(MutableBytes(value).last(8), state.next);
  return std::string(as_text(value));
}

}  // namespace

Result<std::unique_ptr<DiskEventLog>> DiskEventLog::open(NameDatabase& database) {
  auto log = std::unique_ptr<DiskEventLog>(new DiskEventLog(database));
  if (auto loaded = log->load(); !loaded) return fail(std::move(loaded.error()));
  return log;
}

Status DiskEventLog::load() {
  std::string note;
  const auto status =
      database_.db->Get(rocksdb::ReadOptions(), database_.notes, Slice(log_note), &note);
  if (status.IsNotFound()) {
    state_ = {.epoch = random_id<LogEpoch>()};
    const auto put = database_.db->Put(rocksdb::WriteOptions(), database_.notes, Slice(log_note),
                                       encode(state_));
    if (!put.ok()) return catalogue_failure("begin an event log", put);
    return {};
  }
  if (!status.ok()) return catalogue_failure("read the event log", status);
  if (note.size() != log_note_bytes) return fail(Errc::corrupt, "catalogue: the log's length");
  const auto bytes = as_bytes(note);
  state_.epoch = *LogEpoch::from(bytes.first(LogEpoch::size));
  state_.next = get_u64(bytes.last(8));
  state_.oldest = state_.next;
  const IteratorPtr at(database_.db->NewIterator(rocksdb::ReadOptions(), database_.events));
  at->SeekToFirst();
  if (at->Valid()) {
    const auto first = sequence_in(*at);
    at->SeekToLast();
    if (!at->Valid()) return catalogue_failure("read the event log", at->status());
    const auto last = sequence_in(*at);
    if (!first || !last || *last + 1 != state_.next) {
      return fail(Errc::corrupt, "catalogue: the event log has another end than it says");
    }
    state_.oldest = *first;
  }
  if (!at->status().ok()) return catalogue_failure("read the event log", at->status());
  return {};
}

EventLogState DiskEventLog::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

EventLogState DiskEventLog::durable() const {
  const std::lock_guard lock(mutex_);
  auto state = state_;
  state.next = std::max(state.oldest, durable_next_);
  return state;
}

bool DiskEventLog::needs_sync() const {
  const std::lock_guard lock(mutex_);
  return durable_next_ != state_.next;
}

// ------------------------------------------------------------------------------------------
// writing

void DiskEventLog::append(rocksdb::WriteBatch& batch, Change& change, LoggedEvent event) const {
  const auto key = key_of(change.state.next);
  batch.Put(database_.events, slice_of(key), encode_event(event));
  change.state.next += 1;
}

Result<std::uint64_t> DiskEventLog::first_younger_than(std::uint64_t time_ms,
                                                       const EventLogState& state) const {
  const IteratorPtr at(database_.db->NewIterator(rocksdb::ReadOptions(), database_.events));
  auto oldest = state.oldest;
  const auto first = key_of(oldest);
  std::size_t looked_at = 0;
  for (at->Seek(slice_of(first)); at->Valid(); at->Next()) {
    const auto event = decode_event(oldest, bytes_of(at->value()));
    if (!event) return fail(event.error());
    if (event->time_ms >= time_ms || looked_at++ == aged_at_once_max) break;
    oldest += 1;
  }
  if (!at->status().ok()) return catalogue_failure("read the event log", at->status());
  return oldest;
}

Status DiskEventLog::trim(rocksdb::WriteBatch& batch, Change& change, const EventBounds& bounds,
                          std::uint64_t now_ms) {
  auto& state = change.state;
  const auto before = state.oldest;
  if (state.next - state.oldest > bounds.count_max) state.oldest = state.next - bounds.count_max;
  if (now_ms >= ages_looked_at_ms_ + ages_every_ms && now_ms > bounds.keep_ms) {
    ages_looked_at_ms_ = now_ms;
    const auto younger = first_younger_than(now_ms - bounds.keep_ms, state);
    if (!younger) return fail(younger.error());
    state.oldest = *younger;
  }
  if (state.oldest - before > single_deletes_max) {
    const auto from = key_of(before);
    const auto to = key_of(state.oldest);
    batch.DeleteRange(database_.events, slice_of(from), slice_of(to));
  } else {
    for (auto sequence = before; sequence < state.oldest; ++sequence) {
      const auto key = key_of(sequence);
      batch.Delete(database_.events, slice_of(key));
    }
  }
  if (state.next != begin().state.next) {
    batch.Put(database_.notes, Slice(log_note), encode(state));
  }
  return {};
}

void DiskEventLog::written(const Change& change) {
  const std::lock_guard lock(mutex_);
  state_ = change.state;
  if (change.durable) durable_next_ = state_.next;
}

// ------------------------------------------------------------------------------------------
// reading

/// What is trimmed while this reads is missing for the iterator or not, but is never passed over in
/// silence: where the log begins is looked at last.
Result<EventPage> DiskEventLog::page(const EventQuery& query) const {
  const auto end = durable().next;
  const IteratorPtr at(database_.db->NewIterator(rocksdb::ReadOptions(), database_.events));
  auto log = durable();
  log.next = std::max(end, log.oldest);
  EventPageBuilder page(query, log);
  const auto first = key_of(std::max(query.from, log.oldest));
  bool whole = true;
  for (at->Seek(slice_of(first)); at->Valid(); at->Next()) {
    const auto sequence = sequence_in(*at);
    if (!sequence) return fail(sequence.error());
    if (*sequence >= log.next) break;
    auto event = decode_event(*sequence, bytes_of(at->value()));
    if (!event) return fail(std::move(event.error()));
    if (!page.add(std::move(*event))) {
      whole = false;
      break;
    }
  }
  if (!at->status().ok()) return catalogue_failure("read the event log", at->status());
  if (whole) page.reached_end();
  return page.finish();
}

}  // namespace zerodb
