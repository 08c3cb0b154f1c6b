#pragma once
// The names of an owner's objects, in byte order, as one of its gateways knows them. A listing
// first asks enough nodes for what changed (partition digests, then entries of those that differ),
// so that every acknowledged object is in it, whichever gateway stored it. Kept on disk, so that a
// restart need not ask for all of them again. How they change is kept as a log of events, which
// can be followed: while it is, broadcasts are learnt at once, and the mesh is asked for what they
// did not tell every few seconds. One thread: the node's executor.

#include <memory>

#include "node/known_names.hpp"
#include "node/node_context.hpp"

namespace zerodb {

class Catalogue {
 public:
  Catalogue(NodeContext context, std::shared_ptr<const OwnerKeys> keys, OpenNames open,
            EventBounds bounds = {});
  ~Catalogue();

  /// A version just written here, whose name and time are known.
  void learn(const SignedManifest& manifest, const std::string& name,
             std::optional<std::int64_t> mtime_ms);

  /// A broadcast manifest, not yet verified: kept until the next refresh looks at it.
  void on_news(ByteView manifest);

  /// A first page catches up with the mesh before: `no_quorum` when too few nodes answer to see
  /// every acknowledged write. So does a later one, where not all names have been learnt yet.
  Task<Result<NamePage>> page(ListQuery query);

  /// What is known is in it; what others stored may be learnt later. `io` if the log was lost
  /// again and again.
  Task<Result<EventPage>> events(EventQuery query);
  /// Somebody follows the log, from now on for a while. The first time it catches up with the mesh
  /// before it returns, as far as others answer.
  Task<void> follow();
  bool is_followed() const;
  /// Notified when events may have been added, and now and then without a reason.
  Wakeup& changed();
  /// Grows with each of those that has a reason.
  std::uint64_t revision() const;
  /// Ends what goes on by itself, when the node stops.
  void stop();
  /// Something may have been missed: whoever follows is told of it soon.
  void on_link_up();

  /// Now and then: catches up if nobody listed for long, so that no deletion is missed.
  void tend();

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace zerodb
