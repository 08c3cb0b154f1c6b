#pragma once
// What only a node with the mesh key does: it invites and admits nodes, and changes what the roster
// says of members. And what every node does with a roster that stands over its own. Part of
// Membership (membership.hpp), which owns it. One thread: the node's executor.

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "bus/client_message.hpp"
#include "node/invites.hpp"
#include "node/node_context.hpp"
#include "node/roster_change.hpp"

namespace zerodb {

/// How to keep things: each call is durable when it returns. See MembershipFiles.
struct RosterAdminFiles {
  std::function<Status(const SignedRoster&)> save_roster;
  std::function<Status(ByteView)> save_invites;
  std::function<Status(const Seed&)> save_mesh_key;
};

/// What it tells Membership.
struct RosterAdminEvents {
  std::function<void()> invites_changed;
  std::function<void()> roster_made;  ///< by this node, so that the others may hear of it at once
};

class RosterAdmin : public std::enable_shared_from_this<RosterAdmin> {
 public:
  RosterAdmin(NodeContext context, std::optional<SigningKey> mesh_key, RosterAdminFiles files,
              RosterAdminEvents events);

  /// Invites as they were kept.
  void load(ByteView invites);

  bool holds_mesh_key() const { return mesh_key_.has_value(); }

  /// Other members that say they hold the mesh key.
  void hear(const NodeId& node, bool administers);
  bool administers(const NodeId& node) const;

  // ------------------------------------------------------------------------------------ rosters

  /// Keeps a verified roster and lets it stand, if it stands over the one known. An administrator
  /// then makes again, on top of it, what was changed in the one that went. True if it stands.
  bool take(SignedRoster roster);

  Task<Result<client::NodeChanged>> set(client::NodeSet request);
  Task<Result<client::NodeChanged>> remove(client::NodeRemove request);

  /// Recovery text of the mesh key; `denied` without it.
  Result<std::string> export_key() const;
  /// `invalid` when it was mistyped or is another mesh's key. The mesh's id.
  Result<std::string> import_key(std::string_view text);

  // ------------------------------------------------------------------------------------ joining

  std::set<NodeId> invites() const { return invites_.keys(); }
  /// A ticket for whoever gets to `endpoint`; nothing: this node is starting.
  Result<std::string> invite(const client::Invite& request, const OwnerKeys* owner,
                             const std::optional<std::string>& endpoint);
  /// Admits the node, unless it is a member already.
  Status join(const NodeId& invite, const peer::Join& request);

 private:
  const Roster& roster() const { return context_.mesh.roster(); }
  std::uint64_t now_ms() const { return context_.runtime.now_ms(); }

  Status check_may_administer() const;
  Status check_may_invite(const client::Invite& request, const OwnerKeys* owner) const;
  Status check_may_remove(const RosterMember& member, bool force) const;
  std::string other_administrators() const;

  Result<SignedRoster> sign(const Roster& next) const;
  Result<SignedRoster> signed_with(RosterChange change) const;
  Status keep(const SignedRoster& next);
  void stand(SignedRoster next);
  Status check_room_beside(const SignedRoster& next) const;
  Status make(const RosterChange& change);
  Status bring_in(const RosterChange& change, SignedRoster next);
  std::optional<SignedRoster> with_own_changes(const SignedRoster& later) const;
  Task<void> bid_farewell(NodeId node, const SignedRoster& roster);
  client::NodeChanged answer(const RosterMember& member, bool changed, std::string note) const;
  std::string note_on(const client::NodeSet& request) const;

  Status drop_invites_of_removed(const Roster& next);
  Status keep_invite(const NodeId& key, std::uint64_t expires_ms);
  void expire_later(std::uint64_t expires_ms);
  static Task<void> expire(std::weak_ptr<RosterAdmin> weak, Runtime& runtime, Milliseconds wait);

  NodeContext context_;
  std::optional<SigningKey> mesh_key_;
  RosterAdminFiles files_;
  RosterAdminEvents events_;
  Invites invites_;
  std::set<NodeId> administrators_;
};

}  // namespace zerodb
