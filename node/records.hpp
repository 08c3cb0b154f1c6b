#pragma once
// The node records that a node knows: the latest word of each member on where it listens. One
// thread: the node's executor.

#include <map>
#include <vector>

#include "node/roster.hpp"

namespace zerodb {

class Records {
 public:
  Records() { update_digest(); }

  /// True if `wire` is a member's record and later than what was known. An error says why it cannot
  /// be believed.
  Result<bool> learn(ByteView wire, const Roster& roster);
  void put(SignedRecord record);
  /// Forgets those who are no members, but for `self`. True if there were any.
  bool drop_strangers(const Roster& roster, const NodeId& self);

  const SignedRecord* find(const NodeId& node) const;
  std::vector<Bytes> wires() const;  ///< in order of node id

  /// Over who said what: equal digests mean equal records.
  const Bytes& digest() const { return digest_; }

 private:
  bool is_known(ByteView wire) const;
  void update_digest();

  std::map<NodeId, SignedRecord> records_;
  Bytes digest_;
};

}  // namespace zerodb
