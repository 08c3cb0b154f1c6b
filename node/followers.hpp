#pragma once
// The durable followers of an owner's events: for each name the first event that it has not
// acknowledged. They lie in a file of their own, so that they outlast the log they point into; a
// follower whose log is gone is told so. One thread: the node's executor.

#include <functional>
#include <map>
#include <set>
#include <string>

#include "node/wakeup.hpp"
#include "store/event_log.hpp"
#include "store/keys.hpp"

namespace zerodb {

inline constexpr std::size_t followers_max = 256;

struct FollowerPosition {
  LogEpoch epoch;
  std::uint64_t next = 1;
  bool operator==(const FollowerPosition&) const = default;
};

/// Where they are kept; in memory only if there are no such functions. Called off the network
/// thread.
struct FollowersFile {
  std::function<Result<Bytes>()> load;   ///< `not_found` if there is none
  std::function<Status(ByteView)> save;  ///< durable, all or nothing
};

/// 1 to 64 printable ASCII characters.
Status check_follower_name(const std::string& name);

class Followers {
 public:
  Followers(Runtime& runtime, FollowersFile file, const Secret<32>& catalogue_key);

  /// Reads them, if that has not been done. Other calls wait for it by themselves, and end with
  /// its error: a file that cannot be read for now is not taken for lost, nor written over.
  Task<Status> open();

  /// Nothing if there is no such follower, or it is not on disk yet: then add() it, again.
  Task<Result<std::optional<FollowerPosition>>> find(std::string name);
  /// Begins at `position`, durably. If the file was lost a follower of any name may have been in
  /// it: it begins in no epoch then, so that it is told of a reset. `full` above followers_max.
  Task<Result<FollowerPosition>> add(std::string name, FollowerPosition position);
  /// Durably; never back within an epoch unless `back`. Answers where it is then. `not_found`.
  Task<Result<FollowerPosition>> move(std::string name, FollowerPosition position, bool back);
  Task<Status> remove(std::string name);
  Task<Result<std::map<std::string, FollowerPosition>>> all();

 private:
  Task<Status> save();
  Bytes encode() const;
  Status decode(const Result<Bytes>& file);

  Runtime& runtime_;
  FollowersFile file_;
  Secret<32> key_;
  Wakeup changed_;
  std::map<std::string, FollowerPosition> followers_;
  std::set<std::string> added_;  ///< those not on disk yet
  bool lost_ = false;            ///< the file was damaged once
  bool opened_ = false;
  bool opening_ = false;
  bool saving_ = false;
  std::uint64_t changes_ = 0;
  std::uint64_t saved_changes_ = 0;
};

}  // namespace zerodb
