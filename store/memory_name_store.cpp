#include <algorithm>
#include <deque>
#include <mutex>

#include "store/hash.hpp"
#include "store/name_store.hpp"

namespace zerodb {
namespace {

constexpr std::size_t page_names_max = 10'000;
constexpr std::size_t page_names_bytes_max = 512 * 1024;  // so that a page fits one header
constexpr std::uint64_t events_in_memory_max = 100'000;

class MemoryNameStore final : public NameStore {
 public:
  Result<std::vector<std::optional<KnownVersion>>> known(
      std::span<const HashedKey> objects) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::optional<KnownVersion>> found(objects.size());
    for (std::size_t i = 0; i < objects.size(); ++i) {
      const auto at = known_.find(objects[i]);
      if (at != known_.end()) found[i] = at->second.latest;
    }
    return found;
  }

  Result<std::vector<KnownObject>> known_in(Partition partition) override {
    const std::lock_guard lock(mutex_);
    std::vector<KnownObject> found;
    for (auto at = known_.lower_bound(first_key_of(partition));
         at != known_.end() && partition_of(at->first) == partition; ++at) {
      found.push_back(at->second);
    }
    return found;
  }

  Result<NamePage> page(const ListQuery& query) override {
    const std::lock_guard lock(mutex_);
    PageBuilder page(query.limit);
    for (auto at = names_.lower_bound(first_name_of(query)); at != names_.end(); ++at) {
      if (!at->first.starts_with(query.prefix) || !page.add(at->second)) break;
    }
    return page.finish();
  }

  Status write(std::span<const NameRecord> records, const NameNotes& notes,
               const NameWrite& how) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::optional<KnownVersion>> known(records.size());
    for (std::size_t i = 0; i < records.size(); ++i) {
      const auto at = known_.find(records[i].hashed_key);
      if (at != known_.end()) known[i] = at->second.latest;
    }
    for (const auto* record : later_than(records, known)) {
      learn(*record, how.now_ms);
    }
    trim(how);
    for (const auto& [key, value] : notes) {
      if (value) {
        notes_.insert_or_assign(key, value);
      } else {
        notes_.erase(key);
      }
    }
    return {};
  }

  Result<NameNotes> notes() override {
    const std::lock_guard lock(mutex_);
    return notes_;
  }

  Status clear() override {
    const std::lock_guard lock(mutex_);
    names_.clear();
    known_.clear();
    notes_.clear();
    events_.clear();
    log_ = {.epoch = random_id<LogEpoch>()};
    return {};
  }

  Result<EventPage> events(const EventQuery& query) override {
    const std::lock_guard lock(mutex_);
    EventPageBuilder page(query, log_);
    auto at = std::ranges::lower_bound(events_, query.from, {}, &LoggedEvent::sequence);
    while (at != events_.end() && page.add(*at))
      ++at;
    if (at == events_.end()) page.reached_end();
    return page.finish();
  }

 private:
  void learn(const NameRecord& record, std::uint64_t now_ms) {
    known_.insert_or_assign(record.hashed_key, record.object());
    if (record.deleted) {
      names_.erase(record.entry.name);
    } else {
      names_.insert_or_assign(record.entry.name, record.entry);
    }
    events_.push_back({.sequence = log_.next,
                       .time_ms = now_ms,
                       .deleted = record.deleted,
                       .entry = record.entry});
    log_.next += 1;
  }

  void trim(const NameWrite& how) {
    const auto count_max = std::min(how.bounds.count_max, events_in_memory_max);
    while (!events_.empty() && (events_.size() > count_max ||
                                events_.front().time_ms + how.bounds.keep_ms < how.now_ms)) {
      events_.pop_front();
    }
    log_.oldest = log_.next - events_.size();
  }

  std::mutex mutex_;
  std::map<std::string, NameEntry, std::less<>> names_;
  std::map<HashedKey, KnownObject> known_;
  NameNotes notes_;
  std::deque<LoggedEvent> events_;
  EventLogState log_{.epoch = random_id<LogEpoch>()};
};

}  // namespace

PageBuilder::PageBuilder(std::size_t limit) : limit_(std::min(limit, page_names_max)) {}

bool PageBuilder::add(NameEntry entry) {
  if (page_.entries.size() >= limit_ || bytes_ > page_names_bytes_max) {
    page_.more = true;
    return false;
  }
  bytes_ += entry.name.size();
  page_.entries.push_back(std::move(entry));
  return true;
}

std::vector<const NameRecord*> later_than(std::span<const NameRecord> records,
                                          std::span<const std::optional<KnownVersion>> known) {
  std::vector<const NameRecord*> later;
  for (std::size_t i = 0; i < records.size(); ++i) {
    if (!known[i] || records[i].known() > *known[i]) later.push_back(&records[i]);
  }
  const auto version_of = [](const NameRecord* record) { return record->known(); };
  std::ranges::stable_sort(later, {}, version_of);
  // One of a version: own writes may be heard of twice.
  const auto twice = std::ranges::unique(later, [](const auto* a, const auto* b) {
    return a->known() == b->known() && a->hashed_key == b->hashed_key;
  });
  later.erase(twice.begin(), twice.end());
  return later;
}

std::string first_name_of(const ListQuery& query) {
  if (query.after < query.prefix) return query.prefix;
  return query.after + '\0';  // the least name that is greater
}

std::unique_ptr<NameStore> make_memory_name_store() {
  return std::make_unique<MemoryNameStore>();
}

}  // namespace zerodb
