#pragma once
// Peers that send what is not worth an answer, again and again. For a while they are banned: their
// connections are closed, and no new ones let in. Honest software never sends any, so a few a
// second are borne with, not more. One thread; times are given, so that tests need not wait.

#include <map>
#include <set>
#include <string>

#include "bus/token_bucket.hpp"
#include "store/ids.hpp"

namespace zerodb {

class BanList {
 public:
  using Clock = TokenBucket::Clock;

  BanList(std::uint64_t offences_per_s_max, Clock::duration ban)
      : offences_per_s_max_(offences_per_s_max), ban_(ban) {}

  /// True if this was one too many: the peer is banned from now on.
  bool on_offence(const NodeId& peer, Clock::time_point now);

  /// What it did before it was let in, or let in again, does not count.
  void forgive(const NodeId& peer) { offenders_.erase(peer); }

  bool has(const NodeId& peer, Clock::time_point now) const;

  /// Whether the connection `descriptor`, which a ROUTER knows as `route`, is still to be closed:
  /// true once in a ban, as more of what it sent may have arrived already.
  bool is_first_from(const NodeId& peer, std::string_view route, int descriptor);

 private:
  struct Offender {
    TokenBucket offences;
    Clock::time_point banned_until{};
    std::set<std::pair<std::string, int>> seen;  ///< in this ban
  };

  std::uint64_t offences_per_s_max_;
  Clock::duration ban_;
  std::map<NodeId, Offender> offenders_;
};

}  // namespace zerodb
