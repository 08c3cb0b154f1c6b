#pragma once
// Who belongs to the mesh. The roster is a list of members signed by the mesh key; a node record
// is a member's own word, signed with its own key, on where it listens now. Values; thread-safe.

#include <optional>
#include <string>
#include <vector>

#include "store/keys.hpp"

namespace zerodb {

inline constexpr std::size_t members_max = 1000;
inline constexpr std::uint32_t weight_default = 100;

/// Of the signed body: tells two rosters of one version apart.
struct RosterHashTag {
  static constexpr std::string_view name = "roster hash";
};
using RosterHash = Id<RosterHashTag, 32>;

struct ChangeIdTag {
  static constexpr std::string_view name = "change id";
};
using ChangeId = Id<ChangeIdTag, 32>;

/// Changes that a roster carries; the latest ones.
inline constexpr std::size_t changes_kept = 16;

/// One member, as the mesh key signed it.
struct RosterMember {
  NodeId node;
  SignKey sign_key;
  std::string name;  ///< unique in the roster, 1 to 64 bytes of letters, digits, '-', '_' and '.'
  std::string zone;  ///< nodes that fail together; may be empty
  std::uint32_t weight = weight_default;  ///< share of the data, against the other members'
  bool blind = false;                     ///< holds no owner's key
  bool draining = false;                  ///< about to leave: what it holds moves to the others

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("node", self.node);
    field("sign_key", self.sign_key);
    field("name", self.name);
    field("zone", self.zone);
    field("weight", self.weight);
    field("blind", self.blind);
    field("draining", self.draining);
  }
};

/// What an administrator did to one member. Rosters carry their latest changes, so that what was
/// done to a roster that did not stand can be done again to the one that does (roster_change.hpp).
struct RosterChange {
  ChangeId id;
  NodeId node;
  std::optional<RosterMember> added;
  bool removed = false;
  std::optional<bool> draining;
  std::optional<std::string> zone;
  std::optional<std::uint32_t> weight;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("id", self.id);
    field("node", self.node);
    field("added", self.added);
    field("removed", self.removed);
    field("draining", self.draining);
    field("zone", self.zone);
    field("weight", self.weight);
  }
};

struct Roster {
  MeshId mesh;
  std::uint64_t version = 0;  ///< grows by one a change; see stands_over()
  std::vector<RosterMember> members;
  std::vector<RosterChange> changes = {};  ///< the latest, oldest first

  const RosterMember* find(const NodeId& node) const;
  const RosterMember* find_name(std::string_view name) const;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("mesh", self.mesh);
    field("version", self.version);
    field("members", self.members);
    field("changes", self.changes);
  }
};

/// A roster with its signature: body ‖ signature, as it travels and rests.
class SignedRoster {
 public:
  static SignedRoster sign(const Roster& roster, const SigningKey& mesh_key);
  /// `invalid` or `corrupt`; `denied` when it is another mesh's than `mesh` (zero: any mesh).
  static Result<SignedRoster> verify(ByteView wire, const MeshId& mesh);

  const Roster& roster() const { return roster_; }
  const Roster* operator->() const { return &roster_; }
  const Bytes& wire() const { return wire_; }
  const RosterHash& hash() const { return hash_; }

 private:
  SignedRoster(Roster roster, Bytes wire);

  Roster roster_;
  Bytes wire_;
  RosterHash hash_;
};

/// Whether a roster of this version and hash stands where another is known: the later version, or,
/// when two administrators made one each at once, the greater hash. So all end with the same.
bool stands_over(std::uint64_t version, const RosterHash& hash, const SignedRoster& known);
bool stands_over(const SignedRoster& roster, const SignedRoster& known);

/// Where a node listens. The one with the later sequence stands.
struct NodeRecord {
  NodeId node;
  std::uint64_t sequence = 0;
  std::string endpoint;  ///< "tcp://host:port"
  std::string broadcast_endpoint;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("node", self.node);
    field("sequence", self.sequence);
    field("endpoint", self.endpoint);
    field("broadcast_endpoint", self.broadcast_endpoint);
  }
};

class SignedRecord {
 public:
  static SignedRecord sign(const NodeRecord& record, const SigningKey& node_key);
  /// Checks the signature with the member's signing key from the roster; `denied` for a stranger.
  static Result<SignedRecord> verify(ByteView wire, const Roster& roster);

  const NodeRecord& record() const { return record_; }
  const NodeRecord* operator->() const { return &record_; }
  const Bytes& wire() const { return wire_; }

 private:
  NodeRecord record_;
  Bytes wire_;
};

/// `invalid`, saying what is allowed.
Status check_node_name(std::string_view name);
Status check_zone(std::string_view zone);

}  // namespace zerodb
