#pragma once
// The insides of Membership, in two parts: what is known and kept (membership.cpp), and what
// members tell each other (greetings.cpp). One thread: the node's executor.

#include <map>

#include "bus/complaints.hpp"
#include "node/membership.hpp"
#include "node/records.hpp"
#include "node/roster_admin.hpp"

namespace zerodb {

class Membership::Impl : public std::enable_shared_from_this<Membership::Impl> {
 public:
  Impl(NodeContext context, const NodeKeys& keys, MembershipFiles files)
      : context_(context), keys_(keys), files_(std::move(files)) {}

  void start(std::optional<SigningKey> mesh_key, const MembershipState& state);

  RosterAdmin& admin() { return *admin_; }
  void observe(std::function<void()> observer) { observers_.push_back(std::move(observer)); }
  std::vector<Member> members() const;
  std::optional<PeerAddress> address_of(const NodeId& node) const;
  Status set_own_address(const std::string& endpoint, const std::string& broadcast_endpoint);

  peer::Hello hello() const;
  void on_hello_answered(const NodeId& from, const peer::Hello::Reply& reply);
  Result<PeerAnswer> on_hello(const NodeId& from, const peer::Hello& request);
  PeerAnswer roster_answer() const;
  bool take_roster(const NodeId& from, ByteView wire);
  std::optional<SignedRoster> believed(const NodeId& from, ByteView wire);
  void on_farewell(const NodeId& from, ByteView wire);

  Result<std::string> invite(const client::Invite& request, const OwnerKeys* owner);
  Result<PeerAnswer> on_join(const NodeId& invite, const peer::Join& request);

 private:
  /// What a member says it knows.
  struct Claim {
    std::uint64_t roster_version = 0;
    Bytes roster_hash;
    Bytes records_digest;
    bool operator==(const Claim&) const = default;
  };

  /// A pull that brought nothing new: the member knew less than we do, or does not tell.
  struct Fruitless {
    Claim claim;
    std::uint64_t at_ms = 0;  ///< steady
  };

  NodeId self() const { return keys_.curve.public_key; }
  const Roster& roster() const { return context_.mesh.roster(); }
  std::uint64_t now_ms() const { return context_.runtime.now_ms(); }
  void changed() const;
  void save_records() const;

  // Greetings
  void greet_all();
  static Task<void> greet(std::shared_ptr<Impl> impl, NodeId node);
  Status learn_from(const NodeId& from, ByteView record);
  bool is_in_haste(const NodeId& from) const;
  void defend_own_record();
  void check_clock(const NodeId& from, std::uint64_t time_ms);
  Claim own_claim() const;
  bool is_outdated(const Claim& claim) const;
  bool is_pausing(const NodeId& from, const Claim& claim) const;
  void consider_pull(const NodeId& from, Claim claim);
  static Task<void> pull(std::shared_ptr<Impl> impl, NodeId from, Claim claim);
  bool take(const NodeId& from, const peer::GetRoster::Reply& reply);
  void take_older(const NodeId& from, const std::vector<Bytes>& wires);
  Status keep_roster(const SignedRoster& next) const;
  void keep_older();

  NodeContext context_;
  const NodeKeys& keys_;
  MembershipFiles files_;
  std::shared_ptr<RosterAdmin> admin_;  ///< shared with requests under way
  NodeRecord own_;                      ///< what this node says of itself; version 0 until it knows
  Records records_;
  std::set<NodeId> pulling_;
  std::map<NodeId, Fruitless> fruitless_;
  std::map<NodeId, std::uint64_t> learnt_ms_;  ///< steady: when a node last brought a new record
  std::set<NodeId> wrong_clocks_;
  Complaints complaints_;
  std::vector<RosterHash> older_kept_;  ///< on disk
  std::uint64_t over_before_kept_ = 0;  ///< likewise
  std::vector<std::function<void()>> observers_;
};

}  // namespace zerodb
