#pragma once
// What the parts of a gateway share: its keys, its clock, what it counts. Held by every call under
// way, as some finish behind the gateway's back (the last replica of a put, a chunk asked of two
// holders). Private to node/. One thread: the node's executor.

#include <map>
#include <memory>
#include <set>

#include "bus/complaints.hpp"
#include "node/commit_queue.hpp"
#include "node/commit_window.hpp"
#include "node/gateway.hpp"
#include "node/own_writes.hpp"
#include "node/stragglers.hpp"

namespace zerodb {

inline constexpr std::size_t own_writes_max = 10'000;  ///< that a gateway remembers

struct Asking;  // a broadcast `get` of ours, see locate.cpp

struct GatewayCore {
  GatewayCore(NodeContext of, OwnerKeys owner, const GatewayOptions& with, OpenNames open_names,
              FollowersFile followers_file)
      : context(of),
        keys(std::make_shared<const OwnerKeys>(std::move(owner))),
        options(with),
        commits(of.runtime, of.store),
        catalogue(of, keys, std::move(open_names), with.events),
        own_writes(of.runtime, own_writes_max),
        followers(of.runtime, std::move(followers_file), keys->catalogue_key()),
        slow_at_gets(of.runtime),
        slow_at_commits(of.runtime),
        slow_at_puts(of.runtime),
        commit_window(of.runtime, slow_at_puts, {.patience = with.lag_grace}) {}

  ObjectId object_of(std::string_view name) const {
    return {.owner = keys->id(), .hashed_key = keys->hash_name(name)};
  }
  Targets targets_for(const ObjectId& object) const {
    return context.mesh.targets(partition_of(object.hashed_key));
  }
  bool is_self(const NodeId& node) const { return node == context.mesh.self(); }
  /// Whether it is worth waiting for the node's answer.
  bool is_up(const NodeId& node) const { return is_self(node) || context.links.state(node).up; }
  /// Whether others refuse such a version, if the own clock is right.
  bool is_ahead(Version version) const {
    return !check_not_future(version, context.runtime.now_ms());
  }
  /// Later than those before, and than `standing`. One that stands in the future, where a wrong
  /// clock put it, does not pull the versions of all other objects after it.
  Version next_version(Version standing = {}) {
    auto just_once = clock;
    auto& counted = is_ahead(standing) ? just_once : clock;
    counted.observe(standing);
    return counted.next(context.runtime.now_ms());
  }
  struct Moment {
    std::uint64_t steady_ms = 0;
    std::uint64_t now_ms = 0;
  };
  Moment moment() const {
    return {.steady_ms = context.runtime.steady_ms(), .now_ms = context.runtime.now_ms()};
  }
  /// Another node took a version made at `when`, or had the same time then.
  void confirm_clock(const Moment& when) {
    if (!clock_confirmed || when.steady_ms > clock_confirmed->steady_ms) clock_confirmed = when;
  }

  NodeContext context;
  std::shared_ptr<const OwnerKeys> keys;
  GatewayOptions options;
  CommitQueue commits;
  HybridClock clock;
  std::optional<Moment> clock_confirmed;
  Catalogue catalogue;
  OwnWrites own_writes;
  Followers followers;
  GatewayCounters counters;
  Stragglers slow_at_gets;     ///< chunks came late
  Stragglers slow_at_commits;  ///< kept a conditional write waiting for its turn
  Stragglers slow_at_puts;     ///< held puts up
  CommitWindow commit_window;  ///< of small puts and deletes
  std::map<std::uint64_t, std::shared_ptr<Asking>> asking;  ///< by nonce
  std::set<ManifestHash> spreading;  ///< published lately, as nodes lacked them; see spread()
  Complaints complaints;
  std::size_t verifying = 0;    ///< objects, at once
  std::size_t chunks_kept = 0;  ///< by all reads, see GatewayOptions::chunks_kept_max
  std::size_t put_chunks = 0;   ///< on their way, see GatewayOptions::put_chunks_max
};

using CorePtr = std::shared_ptr<GatewayCore>;
using SignedPtr = std::shared_ptr<const SignedManifest>;  ///< shared by calls that finish behind

/// "put 'photos/a.jpg'", for messages.
inline std::string about(std::string_view verb, std::string_view name) {
  return std::string(verb) + " '" + printable(name) + "'";
}

}  // namespace zerodb
