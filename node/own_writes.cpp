#include "node/own_writes.hpp"

namespace zerodb {

void OwnWrites::note(const ObjectId& object, Version version) {
  auto& write = writes_[object];
  if (version <= write.version) return;
  write = {.version = version, .at_ms = runtime_.steady_ms()};
  by_age_.emplace_back(object, version);
  if (by_age_.size() <= writes_max_) return;
  const auto oldest = writes_.find(by_age_.front().first);
  if (oldest->second.version == by_age_.front().second) writes_.erase(oldest);
  by_age_.pop_front();
}

Version OwnWrites::latest(const ObjectId& object) const {
  const auto write = writes_.find(object);
  if (write == writes_.end()) return {};
  const auto age_ms = runtime_.steady_ms() - write->second.at_ms;
  return age_ms < static_cast<std::uint64_t>(own_writes_keep.count()) ? write->second.version
                                                                      : Version{};
}

}  // namespace zerodb
