#include "bus/ban_list.hpp"

namespace zerodb {
namespace {

/// Those who did nothing for a second are forgotten beyond this many.
constexpr std::size_t offenders_max = 4096;
/// Nobody who is not let in any more has so many connections left.
constexpr std::size_t connections_max = 4096;

}  // namespace

bool BanList::on_offence(const NodeId& peer, Clock::time_point now) {
  if (offenders_.size() >= offenders_max) {
    std::erase_if(offenders_, [now](const auto& entry) {
      const auto& offender = entry.second;
      return offender.offences.is_full(now) && offender.banned_until <= now;
    });
  }
  auto& offender =
      offenders_.try_emplace(peer, Offender{.offences = TokenBucket(offences_per_s_max_)})
          .first->second;
  const bool too_many = offender.offences.pause(now) > Clock::duration::zero();
  offender.offences.take(1, now);
  if (!too_many) return false;
  offender.banned_until = now + ban_;
  offender.seen.clear();
  return true;
}

bool BanList::has(const NodeId& peer, Clock::time_point now) const {
  const auto found = offenders_.find(peer);
  return found != offenders_.end() && now < found->second.banned_until;
}

bool BanList::is_first_from(const NodeId& peer, std::string_view route, int descriptor) {
  const auto found = offenders_.find(peer);
  if (found == offenders_.end()) return false;
  auto& seen = found->second.seen;
  if (seen.size() >= connections_max) seen.clear();
  return seen.emplace(route, descriptor).second;
}

}  // namespace zerodb
