#include "node/transfers.hpp"

#include <algorithm>

namespace zerodb {

namespace {

/// Of all transfers together.
constexpr std::uint64_t credit_total_bytes = 64 << 20;

}  // namespace

Result<std::shared_ptr<Transfer>> Transfers::find(const TransferId& id,
                                                  const NodeId& sender) const {
  const auto found = transfers_.find(id);
  if (found == transfers_.end()) {
    return fail(Errc::not_found, "transfer " + id.short_hex() + ": unknown here; open it again");
  }
  if (found->second->sender != sender) {
    return fail(Errc::denied, "transfer " + id.short_hex() + ": opened by another node");
  }
  return found->second;
}

Result<std::shared_ptr<Transfer>> Transfers::add(const TransferId& id, const NodeId& sender,
                                                 const UploadSpec& spec, std::uint64_t now_ms) {
  const auto of_sender = std::ranges::count_if(
      transfers_, [&](const auto& entry) { return entry.second->sender == sender; });
  if (transfers_.size() >= options_.transfers_max ||
      static_cast<std::size_t>(of_sender) >= options_.transfers_per_sender_max) {
    return fail(Errc::busy, "transfer " + id.short_hex() + ": " +
                                std::to_string(transfers_.size()) +
                                " are under way here; try again");
  }
  auto transfer = std::make_shared<Transfer>();
  transfer->sender = sender;
  transfer->spec = spec;
  transfer->heard_ms = now_ms;
  transfers_.emplace(id, transfer);
  return transfer;
}

void Transfers::remove(const TransferId& id, const std::shared_ptr<Transfer>& transfer) {
  const auto found = transfers_.find(id);
  if (found != transfers_.end() && found->second == transfer) transfers_.erase(found);
}

std::vector<std::shared_ptr<Transfer>> Transfers::take_idle(std::uint64_t now_ms) {
  const auto idle_max = static_cast<std::uint64_t>(options_.transfer_idle_max.count());
  std::vector<std::shared_ptr<Transfer>> idle;
  for (auto at = transfers_.begin(); at != transfers_.end();) {
    const bool is_idle = !at->second->is_busy() && now_ms - at->second->heard_ms > idle_max;
    if (is_idle) idle.push_back(std::move(at->second));
    at = is_idle ? transfers_.erase(at) : std::next(at);
  }
  return idle;
}

std::uint64_t Transfers::credit_bytes() const {
  const auto share = credit_total_bytes / std::max<std::size_t>(transfers_.size(), 1);
  return std::max<std::uint64_t>(std::min(options_.transfer_credit_bytes, share),
                                 sealed_chunk_bytes_max);
}

}  // namespace zerodb
