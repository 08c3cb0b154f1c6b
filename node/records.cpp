#include "node/records.hpp"

#include <algorithm>

#include "store/hash.hpp"

namespace zerodb {

Result<bool> Records::learn(ByteView wire, const Roster& roster) {
  if (is_known(wire)) return false;  // no need to check its signature again
  auto record = SignedRecord::verify(wire, roster);
  if (!record) return fail(std::move(record.error()));
  const auto* known = find((*record)->node);
  if (known != nullptr && (*known)->sequence >= (*record)->sequence) return false;
  put(std::move(*record));
  return true;
}

void Records::put(SignedRecord record) {
  const auto node = record->node;
  records_.insert_or_assign(node, std::move(record));
  update_digest();
}

bool Records::drop_strangers(const Roster& roster, const NodeId& self) {
  const auto is_stranger = [&](const auto& entry) {
    return entry.first != self && roster.find(entry.first) == nullptr;
  };
  if (std::erase_if(records_, is_stranger) == 0) return false;
  update_digest();
  return true;
}

const SignedRecord* Records::find(const NodeId& node) const {
  const auto found = records_.find(node);
  return found == records_.end() ? nullptr : &found->second;
}

std::vector<Bytes> Records::wires() const {
  std::vector<Bytes> wires;
  for (const auto& [node, record] : records_)
    wires.push_back(record.wire());
  return wires;
}

void Records::update_digest() {
  Bytes said;
  for (const auto& [node, record] : records_) {
    said.insert(said.end(), record.wire().begin(), record.wire().end());
  }
  const auto hash = blake2b_256("zerodb records", {said});
  digest_.assign(hash.begin(), hash.end());
}

bool Records::is_known(ByteView wire) const {
  return std::ranges::any_of(records_, [wire](const auto& entry) {
    return std::ranges::equal(entry.second.wire(), wire);
  });
}

}  // namespace zerodb
