#pragma once
// Broadcasts as they travel: topic, header, and the sender's signature over the header. No
// sockets here. One thread.

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bus/broadcast_message.hpp"
#include "store/buffer.hpp"
#include "store/keys.hpp"

namespace zerodb {

/// The longest topic, and the longest header of a broadcast.
inline constexpr std::size_t topic_bytes_max = 128;
inline constexpr std::size_t broadcast_bytes_max = 64 * 1024;

/// libzmq compares a subscription with the beginning of a topic: each one ends in a slash, so that
/// none is the beginning of another.
std::string partition_topic(Partition partition);  ///< "p/5af/"
std::string owner_topic(const OwnerId& owner);     ///< "o/<64 hexadecimal digits>/"
std::string get_topic();                           ///< "g/"

/// What to subscribe to. All partitions are one topic, "p/", under which every owner's objects are.
std::set<std::string> topics_of(const std::set<Partition>& partitions,
                                const std::set<OwnerId>& owners);

/// Signs what one node broadcasts.
class BroadcastSealer {
 public:
  /// Sequence numbers go on from `now_us`, the microseconds since 1970, so that those of a
  /// restarted node are above those it used before.
  BroadcastSealer(const NodeId& from, const SigningKey& key, std::uint64_t now_us);

  /// One message of three frames for each topic concerned.
  std::vector<std::vector<Payload>> seal(const ObjectId& about, const broadcast::Message& message,
                                         std::uint64_t now_ms);

 private:
  NodeId from_;
  SigningKey key_;
  std::uint64_t sequence_;
};

/// Opens what one node broadcasts, over a connection that keeps the order.
class BroadcastOpener {
 public:
  BroadcastOpener(const NodeId& from, const SignKey& key) : from_(from), key_(key) {}

  using IsNews = std::function<bool(const broadcast::Message&)>;

  /// Nothing if it was heard before, under another topic or replayed, or if `is_news`, which is
  /// asked before the signature is checked, says so. `invalid` when malformed, `denied` when it
  /// names another sender, `corrupt` when the signature is wrong.
  Result<std::optional<broadcast::Message>> open(const std::vector<Payload>& frames,
                                                 const IsNews& is_news);

 private:
  NodeId from_;
  SignKey key_;
  std::uint64_t last_sequence_ = 0;
};

}  // namespace zerodb
