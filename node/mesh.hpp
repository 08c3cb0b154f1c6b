#pragma once
// What this node knows of its mesh: the roster that stands and those still in force beside it, the
// placements that follow from them, and how far each member has got with them. One thread: the
// node's executor.
//
// A roster is in force from when it stands until every member has taken over all that a later one
// places on it. DESIGN.md ("A change of placement") says why that keeps acknowledged writes
// visible.

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "node/placement.hpp"
#include "node/roster.hpp"
#include "node/targets.hpp"

namespace zerodb {

/// Rosters in force at once. Beyond, all but the oldest and the latest of them are let go.
inline constexpr std::size_t rosters_in_force_max = 16;

/// What a new node takes for over_before(): nothing before the oldest roster that whoever let it
/// in, who holds the mesh's key, knows to be in force is so any more.
std::uint64_t oldest_in_force(const SignedRoster& latest, const std::vector<SignedRoster>& older);

/// What a member says of itself with every greeting.
struct MemberProgress {
  RosterHash roster;  ///< the one that stands there
  std::uint64_t roster_version = 0;
  std::uint64_t working_version = 0;  ///< the oldest roster a request of its own still goes by
  std::uint64_t settled_version = 0;  ///< under it the member last held all that is placed on it
  std::uint64_t clean_version = 0;    ///< under it the member last held nothing else; 0: unknown
  std::uint64_t missed_writes = 0;    ///< that it acknowledged; see note_missed_write()
  bool operator==(const MemberProgress&) const = default;
};

class Mesh {
  /// How many requests are under way, by the version of the roster they were begun under.
  struct WorkList {
    std::vector<std::pair<std::uint64_t, std::size_t>> counts;
  };

 public:
  /// `settled` is the roster under which this node last held all that is placed on it: a founding
  /// node's is its first roster, a joining node's the last one without it, under which it had
  /// nothing to hold. None: the store is new or was lost, and fills up again. `older` are those
  /// that were in force beside `roster` when this node last ran, `over_before` what over_before()
  /// was then.
  Mesh(NodeId self, SignedRoster roster, std::optional<SignedRoster> settled,
       std::vector<SignedRoster> older = {}, std::uint64_t over_before = 0);

  const NodeId& self() const { return self_; }
  const Roster& roster() const { return roster_.roster(); }
  const SignedRoster& signed_roster() const { return roster_; }
  const Placement& placement() const { return placement_; }

  /// True if `roster` is of the same mesh, stands_over() the one known, and stands from now on.
  /// Observers are told.
  bool adopt(SignedRoster roster);
  void on_change(std::function<void()> observer) { observers_.push_back(std::move(observer)); }

  bool is_placed_here(Partition partition) const { return placement_.is_placed(self_, partition); }

  // ------------------------------------------------------------------------ placements in force

  /// To whom requests about a partition go: the placement that this node works under, and those in
  /// force beside it, without nodes that are no members any more. A new roster is not worked under
  /// before every member is known to have adopted it: one that was added and does not run yet, or
  /// is down, would be needed for writes and cannot take any.
  Targets targets(Partition partition) const;

  /// Rosters in force beside the one that stands, oldest first: for disk, and for other members.
  std::vector<SignedRoster> older_rosters() const;
  bool is_one_in_force() const { return older_.empty(); }

  /// Takes in rosters that another member says are in force. They are verified, of this mesh. Those
  /// that are over are not taken up again, whoever says so.
  void learn_older(std::vector<SignedRoster> rosters);

  /// Rosters of earlier versions are over for good: every member was seen settled under this one or
  /// a later one. To be kept across restarts.
  std::uint64_t over_before() const { return over_before_; }

  /// A request of this node that goes by the placements in force while it was begun. As long as it
  /// is held, no member counts this node as one that goes by a later roster alone.
  class Work {
   public:
    Work() = default;
    Work(Work&& other) noexcept = default;
    Work& operator=(Work&& other) noexcept;
    ~Work() { end(); }
    void end();

   private:
    friend class Mesh;
    Work(std::shared_ptr<WorkList> list, std::uint64_t version);
    std::shared_ptr<WorkList> list_;  ///< requests may end behind the node that began them
    std::uint64_t version_ = 0;
  };
  Work begin_work() const { return {work_, working_version_}; }

  // -------------------------------------------------------------------------------- progress

  MemberProgress own_progress() const;
  /// What `node` says of itself. Observers of progress are told if that changes anything.
  void hear(const NodeId& node, const MemberProgress& progress);
  void on_progress(std::function<void()> observer) {
    progress_observers_.push_back(std::move(observer));
  }

  /// This node acknowledged a write that `node` should have and did not take. All hear of that with
  /// every greeting, unlike of the write itself, as a broadcast may be lost.
  void note_missed_write(const NodeId& node);
  /// Told when this node is said to have missed writes, or may be the one that did.
  void on_missed_writes(std::function<void()> observer) {
    missed_observers_.push_back(std::move(observer));
  }

  /// Every member goes by the roster that stands, and ended what it had begun under others: what
  /// was acknowledged under them is where it can be found by now.
  bool is_adopted_by_all() const;
  /// Every member also holds all that is placed on it. Then this is the only roster in force.
  bool is_settled_by_all() const;
  /// Every member also holds nothing else. Said of members as they were when last heard.
  bool is_clean_everywhere() const;
  /// Who holds the move up. For people. Those who do not go by the roster; if there are none, those
  /// who have not ended what they began under others; else those who lack what is placed on them.
  std::vector<NodeId> waited_for() const;

  /// Whether "I do not have it" from this node means anything: not while its store fills up again
  /// after it was lost.
  bool is_whole() const { return settled_version_ != 0; }
  /// The same of another member, as far as known.
  bool is_whole(const NodeId& node) const;
  /// How often a member, or this node, stopped being whole, as far as known.
  std::uint64_t losses_of(const NodeId& node) const;
  /// This node's store was lost, and with it what it had acknowledged. Not so of a member that has
  /// just joined: until it is whole, what is acknowledged counts under rosters without it as well.
  bool has_lost_store() const;

  /// Called when all that is placed here has been taken over under that roster. Answers the roster
  /// to remember across restarts, or nothing if another stands by now.
  std::optional<SignedRoster> settle(const RosterHash& roster);
  /// From now on this node is not whole: see is_whole(). A daemon finds a lost store when it
  /// starts, and has its mesh without a settled roster then; a simulated node is as it was and
  /// loses it.
  void lose_store();
  /// Whether this node holds all that is placed on it under the roster that stands.
  bool is_settled() const { return settled_version_ == roster_->version; }

  /// Whether nothing is kept here that is placed elsewhere. Unknown again after a roster change.
  void set_clean(bool clean);
  bool is_clean() const { return clean_version_ == roster_->version; }

  /// Whether `node` drains and holds nothing any more that others should have from it.
  bool is_drained(const NodeId& node) const;

  /// "node2 (1a2b3c4d)" for messages and logs.
  std::string describe(const NodeId& node) const;

 private:
  struct Older {
    SignedRoster roster;
    Placement placement;
  };

  void keep_older(SignedRoster roster, Placement placement);
  void raise_working_version();
  bool is_worked_under(std::uint64_t version) const { return version <= working_version_; }
  std::uint64_t settled_version_of(const NodeId& node) const;
  bool goes_by_roster(const NodeId& node) const;
  bool has_adopted(const NodeId& node) const;
  void drop_settled_rosters();
  void progressed();
  void missed();
  template <class Good>
  bool is_every_member(Good good) const;

  NodeId self_;
  SignedRoster roster_;
  Placement placement_;
  std::vector<Older> older_;       ///< in force beside it, oldest first
  std::uint64_t over_before_ = 0;  ///< grows only, whatever members say of themselves later
  std::map<NodeId, MemberProgress> progress_;
  std::map<NodeId, std::uint64_t> losses_;
  std::uint64_t working_version_ = 0;  ///< the latest roster in force that requests go by
  std::uint64_t settled_version_ = 0;  ///< of this node; 0: none
  std::uint64_t clean_version_ = 0;
  std::shared_ptr<WorkList> work_ = std::make_shared<WorkList>();
  std::vector<std::function<void()>> observers_;
  std::uint64_t missed_writes_ = 0;
  std::vector<std::function<void()>> progress_observers_;
  std::vector<std::function<void()>> missed_observers_;
};

/// Members that have been whole since something began to ask them. One that became whole meanwhile
/// may have had less when it was asked, so its "I do not have it" means nothing.
class WholeThroughout {
 public:
  /// `mesh` outlives it.
  explicit WholeThroughout(const Mesh& mesh);
  bool contains(const NodeId& node) const;

 private:
  const Mesh* mesh_;
  std::map<NodeId, std::uint64_t> at_first_;  ///< those that were, and their losses by then
};

}  // namespace zerodb
