#include "store/event_log.hpp"

#include <algorithm>

namespace zerodb {
namespace {

constexpr std::size_t page_events_max = 1'000;
constexpr std::size_t page_bytes_max = 512 * 1024;  // of names, so that a page fits one header
constexpr std::size_t looked_at_max = 10'000;       // so that no page takes long

// An event: version ‖ size ‖ time ‖ flags ‖ [mtime] ‖ name.
constexpr std::size_t fixed_bytes = 8 + 8 + 8 + 1;
constexpr std::uint8_t is_deletion = 1;
constexpr std::uint8_t has_mtime = 2;

}  // namespace

std::string encode_event(const LoggedEvent& event) {
  Bytes value(fixed_bytes + (event.entry.mtime_ms ? 8 : 0));
  const MutableBytes at(value);
  put_u64(at.first(8), event.entry.version.value);
  put_u64(at.subspan(8, 8), event.entry.size);
  put_u64(at.subspan(16, 8), event.time_ms);
  value[24] = static_cast<std::uint8_t>((event.deleted ? is_deletion : 0) |
                                        (event.entry.mtime_ms ? has_mtime : 0));
  if (event.entry.mtime_ms) {
    put_u64(at.subspan(fixed_bytes, 8), static_cast<std::uint64_t>(*event.entry.mtime_ms));
  }
  return std::string(as_text(value)) + event.entry.name;
}

Result<LoggedEvent> decode_event(std::uint64_t sequence, ByteView value) {
  const auto corrupt = [] { return fail(Errc::corrupt, "catalogue: an event is malformed"); };
  if (value.size() < fixed_bytes) return corrupt();
  const auto flags = value[24];
  if ((flags & ~(is_deletion | has_mtime)) != 0) return corrupt();
  LoggedEvent event{
      .sequence = sequence,
      .time_ms = get_u64(value.subspan(16, 8)),
      .deleted = (flags & is_deletion) != 0,
      .entry = {.size = get_u64(value.subspan(8, 8)), .version = {get_u64(value.first(8))}}};
  auto rest = value.subspan(fixed_bytes);
  if ((flags & has_mtime) != 0) {
    if (rest.size() < 8) return corrupt();
    event.entry.mtime_ms = static_cast<std::int64_t>(get_u64(rest.first(8)));
    rest = rest.subspan(8);
  }
  event.entry.name = as_text(rest);
  return event;
}

EventPageBuilder::EventPageBuilder(const EventQuery& query, const EventLogState& log)
    : query_(query) {
  page_.log = log;
  page_.next = std::clamp(query.from, log.oldest, log.next);
}

bool EventPageBuilder::add(LoggedEvent event) {
  const auto limit = std::min(query_.limit, page_events_max);
  if (page_.events.size() >= limit || bytes_ > page_bytes_max || looked_at_ >= looked_at_max) {
    return false;
  }
  looked_at_ += 1;
  page_.next = event.sequence + 1;
  if (!event.entry.name.starts_with(query_.prefix)) return true;
  bytes_ += event.entry.name.size();
  page_.events.push_back(std::move(event));
  return true;
}

void EventPageBuilder::reached_end() {
  page_.next = page_.log.next;
}

}  // namespace zerodb
