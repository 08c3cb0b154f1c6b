#pragma once
// The invites that a node has given out and that have not expired. One thread: the node's executor.

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "store/ids.hpp"

namespace zerodb {

inline constexpr std::size_t invites_max = 100;
inline constexpr std::uint64_t invite_expires_s_max = 30 * 86'400;

struct Invite {
  NodeId key;                    ///< public half of the pair whose secret is in the ticket
  std::uint64_t expires_ms = 0;  ///< UTC
  std::optional<NodeId> used_by;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("key", self.key);
    field("expires_ms", self.expires_ms);
    field("used_by", self.used_by);
  }
};

class Invites {
 public:
  /// As encode() made it. `invalid` if it is something else.
  static Result<Invites> decode(ByteView bytes);
  Bytes encode() const;

  /// `busy` when too many are open already.
  Status add(const NodeId& key, std::uint64_t expires_ms);

  /// Whether `node` may join by the invite `key`: `denied`, saying why, if it is unknown, expired,
  /// or used by another node.
  Status check(const NodeId& key, const NodeId& node, std::uint64_t now_ms) const;
  void mark_used(const NodeId& key, const NodeId& node);

  /// Each true if any was dropped.
  bool drop_expired(std::uint64_t now_ms);
  bool drop_used_by(const std::set<NodeId>& nodes);
  std::set<NodeId> keys() const;
  std::vector<std::uint64_t> expiries() const;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("invites", self.invites_);
  }

 private:
  std::vector<Invite> invites_;
};

}  // namespace zerodb
