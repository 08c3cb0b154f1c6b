#include <algorithm>
#include <mutex>
#include <unordered_map>

#include "store/name_store.hpp"

namespace zerodb {
namespace {

constexpr std::size_t page_names_max = 10'000;
constexpr std::size_t page_bytes_max = 512 * 1024;  // of names, so that a page fits one header

class MemoryNameStore final : public NameStore {
 public:
  Result<std::vector<std::optional<KnownVersion>>> known(
      std::span<const HashedKey> objects) override {
    const std::lock_guard lock(mutex_);
    std::vector<std::optional<KnownVersion>> found(objects.size());
    for (std::size_t i = 0; i < objects.size(); ++i) {
      const auto at = known_.find(objects[i]);
      if (at != known_.end()) found[i] = at->second;
    }
    return found;
  }

  Result<ListPage> page(const ListQuery& query) override {
    const std::lock_guard lock(mutex_);
    PageBuilder page(query.limit);
    for (auto at = names_.lower_bound(first_name_of(query)); at != names_.end(); ++at) {
      if (!at->first.starts_with(query.prefix) || !page.add(at->second)) break;
    }
    return page.finish();
  }

  Status write(std::span<const NameRecord> records, const NameNotes& notes) override {
    const std::lock_guard lock(mutex_);
    for (const auto& record : records) {
      const auto [at, is_new] = known_.try_emplace(record.hashed_key, record.known());
      if (!is_new && record.known() <= at->second) continue;
      at->second = record.known();
      if (record.deleted) {
        names_.erase(record.entry.name);
      } else {
        names_.insert_or_assign(record.entry.name, record.entry);
      }
    }
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
    return {};
  }

 private:
  std::mutex mutex_;
  std::map<std::string, ListEntry, std::less<>> names_;
  std::unordered_map<HashedKey, KnownVersion, IdHash> known_;
  NameNotes notes_;
};

}  // namespace

PageBuilder::PageBuilder(std::size_t limit) : limit_(std::min(limit, page_names_max)) {}

bool PageBuilder::add(ListEntry entry) {
  if (page_.entries.size() >= limit_ || bytes_ > page_bytes_max) {
    page_.more = true;
    return false;
  }
  bytes_ += entry.name.size();
  page_.entries.push_back(std::move(entry));
  return true;
}

std::string first_name_of(const ListQuery& query) {
  if (query.after < query.prefix) return query.prefix;
  return query.after + '\0';  // the least name that is greater
}

std::unique_ptr<NameStore> make_memory_name_store() {
  return std::make_unique<MemoryNameStore>();
}

}  // namespace zerodb
