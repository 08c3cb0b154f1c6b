#include "node/invites.hpp"

#include <algorithm>

#include "store/clock.hpp"
#include "store/fields.hpp"

namespace zerodb {

namespace {

constexpr std::string_view ask_again = ": ask for a new ticket with: zdb invite";

}  // namespace

Result<Invites> Invites::decode(ByteView bytes) {
  return fields::decode<Invites>(bytes);
}

Bytes Invites::encode() const {
  return fields::encode(*this);
}

Status Invites::add(const NodeId& key, std::uint64_t expires_ms) {
  if (invites_.size() >= invites_max) {
    return fail(Errc::busy, "there are " + std::to_string(invites_max) +
                                " open invites already: use them, or wait until some expire");
  }
  invites_.push_back({.key = key, .expires_ms = expires_ms});
  return {};
}

Status Invites::check(const NodeId& key, const NodeId& node, std::uint64_t now_ms) const {
  const auto found = std::ranges::find(invites_, key, &Invite::key);
  if (found == invites_.end()) {
    return fail(Errc::denied, "the ticket is not known here" + std::string(ask_again));
  }
  if (now_ms >= found->expires_ms) {
    return fail(Errc::denied, "the ticket expired at " + to_string(Version::at(found->expires_ms)) +
                                  std::string(ask_again));
  }
  if (found->used_by && *found->used_by != node) {
    return fail(Errc::denied, "the ticket was used by another node" + std::string(ask_again));
  }
  return {};
}

void Invites::mark_used(const NodeId& key, const NodeId& node) {
  const auto found = std::ranges::find(invites_, key, &Invite::key);
  if (found != invites_.end()) found->used_by = node;
}

bool Invites::drop_expired(std::uint64_t now_ms) {
  return std::erase_if(invites_, [now_ms](const Invite& i) { return now_ms >= i.expires_ms; }) > 0;
}

bool Invites::drop_used_by(const std::set<NodeId>& nodes) {
  const auto is_of_one = [&](const Invite& i) { return i.used_by && nodes.contains(*i.used_by); };
  return std::erase_if(invites_, is_of_one) > 0;
}

std::set<NodeId> Invites::keys() const {
  std::set<NodeId> keys;
  for (const auto& invite : invites_)
    keys.insert(invite.key);
  return keys;
}

std::vector<std::uint64_t> Invites::expiries() const {
  std::vector<std::uint64_t> expiries;
  for (const auto& invite : invites_)
    expiries.push_back(invite.expires_ms);
  return expiries;
}

}  // namespace zerodb
