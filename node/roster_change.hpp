#pragma once
// Changes of the roster, and what becomes of them when two administrators make one each at once:
// one roster stands, and the changes that only the other had are made again on top of it. Pure
// functions.

#include "node/roster.hpp"

namespace zerodb {

/// What `roster` becomes with `change` in it: a version on. The change gets its id, so that the
/// same change of the same roster is the same, whoever makes it. `not_found` when the node is no
/// member, `invalid` when a name is taken, or a rule of rosters would be broken.
Result<Roster> with_change(const SignedRoster& roster, RosterChange change);

/// The changes that `left` had and `standing` lacks, oldest first. Empty when the two are so far
/// apart that nobody can tell.
std::vector<RosterChange> lost_changes(const Roster& left, const Roster& standing);

/// `roster` with changes made again, each as far as it still makes sense: a member that was removed
/// meanwhile is not changed, and one that joins under a name taken meanwhile gets another. Nothing
/// when nothing is left to do. Every administrator makes the same roster of the same changes.
std::optional<Roster> with_lost_changes(const SignedRoster& roster,
                                        const std::vector<RosterChange>& changes);

/// "node2 drains", for logs.
std::string describe(const RosterChange& change, const Roster& roster);

/// The member of that name, or else the one whose id begins with `name`. `not_found` if there is
/// none, `invalid` if there are several.
Result<RosterMember> find_member(const Roster& roster, std::string_view name);

}  // namespace zerodb
