#pragma once
// Many small jobs at once, each thread with a connection of its own.

#include <atomic>
#include <functional>

#include "tools/zdb_session.hpp"

namespace zerodb::tools {

/// Calls `work(client, i)` for each i below `count`, in about this order, from a few threads.
/// Stops early when the node is lost. False when no node answered, which has been reported then.
bool for_each_at_once(Session& session, std::size_t count,
                      const std::function<void(BusClient&, std::size_t)>& work);

/// Every object under `prefix`; nothing when listing failed, which has been reported then.
std::optional<std::vector<client::List::Entry>> list_all(Session& session, BusClient& client,
                                                         const std::string& prefix);

/// The same, for who needs one at least: nothing, and reported, when there is none.
std::optional<std::vector<client::List::Entry>> list_some(Session& session, BusClient& client,
                                                          const std::string& prefix);

/// What became of many jobs, counted from several threads.
class Tally {
 public:
  void add(std::uint64_t bytes) {
    ++done_;
    bytes_ += bytes;
  }
  /// "812 files, 45 MiB in 3 s (14 MiB/s)"
  std::string text(const std::string& what, double seconds) const;
  std::size_t done() const { return done_; }

 private:
  std::atomic<std::size_t> done_{0};
  std::atomic<std::uint64_t> bytes_{0};
};

}  // namespace zerodb::tools
