#pragma once
// Who belongs to the mesh and where they listen, as it changes: greetings, rosters and node records
// here, invites, joining and administration in roster_admin.hpp. Works without sockets and files:
// it is told what arrives and says what to keep. One thread: the node's executor.

#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bus/client_message.hpp"
#include "bus/zmq_links.hpp"
#include "node/node_context.hpp"

namespace zerodb {

/// What outlives a restart, as it was kept.
struct MembershipState {
  std::vector<Bytes> records;  ///< signed node records, unchecked
  Bytes invites;               ///< as Membership gave it to be kept; empty at first
};

/// How to keep it: each call is durable when it returns. These block the node's thread for an
/// fsync: they are rare, and no two changes of membership ever interleave.
struct MembershipFiles {
  std::function<Status(const SignedRoster&)> save_roster;
  /// Those in force beside the one that stands, and Mesh::over_before().
  std::function<Status(const std::vector<SignedRoster>&, std::uint64_t)> save_older_rosters;
  std::function<Status(const std::vector<Bytes>&)> save_records;
  std::function<Status(ByteView)> save_invites;
  std::function<Status(const Seed&)> save_mesh_key;
};

class Membership {
 public:
  /// `keys` outlives this. `mesh_key` only on a node that may invite and administer.
  Membership(NodeContext context, const NodeKeys& keys, std::optional<SigningKey> mesh_key,
             MembershipState state, MembershipFiles files);
  ~Membership();

  /// Where this node listens from now on; signs a new record if that changed.
  Status set_own_address(const std::string& endpoint, const std::string& broadcast_endpoint);

  /// Told when members(), invites() or an address changed.
  void on_change(std::function<void()> observer);

  std::vector<Member> members() const;  ///< all others, with the addresses known
  std::set<NodeId> invites() const;     ///< public keys of live invites
  std::optional<PeerAddress> address_of(const NodeId& node) const;
  bool holds_mesh_key() const;
  /// Whether `node` does, as far as it said so.
  bool administers(const NodeId& node) const;

  // Greetings, both ways.
  peer::Hello hello() const;
  void on_hello_answered(NodeId from, const peer::Hello::Reply& reply);
  Task<Result<PeerAnswer>> on_hello(NodeId from, peer::Hello request);
  Task<Result<PeerAnswer>> on_get_roster(NodeId from);
  Task<Result<PeerAnswer>> on_new_roster(NodeId from, peer::NewRoster news);

  // Administration: `denied` without the mesh key, saying who may hold it and what to do.

  /// `not_found` or `invalid` for a name that is nobody's or several nodes'.
  Task<Result<client::NodeChanged>> node_set(client::NodeSet request);
  /// `denied` for the last node, the last that holds the mesh key, and, unless forced, one that is
  /// not drained.
  Task<Result<client::NodeChanged>> node_remove(client::NodeRemove request);
  /// The mesh key as recovery text, and from it.
  Result<std::string> mesh_export() const;
  Result<std::string> mesh_import(std::string_view text);

  /// A ticket for one node to join by.
  Result<std::string> invite(const client::Invite& request, const OwnerKeys* owner);

  /// `invite` is the key the caller came with. For one node, which may
  /// ask again while it is a member.
  Task<Result<PeerAnswer>> on_join(NodeId invite, peer::Join request);

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;  ///< shared with requests under way
};

}  // namespace zerodb
