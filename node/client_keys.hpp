#pragma once
// The clients that a node lets in over the network: of each its name, the public half of its key,
// and what it may do. The bytes they are kept as are in FORMAT.md. One thread: the node's executor.

#include <map>
#include <optional>
#include <vector>

#include "node/client_rights.hpp"
#include "store/ids.hpp"

namespace zerodb {

inline constexpr std::size_t client_keys_max = 10'000;
inline constexpr std::size_t client_keys_bytes_max = 16 << 20;  ///< of the file
inline constexpr std::uint64_t client_expires_s_max = 100ULL * 366 * 86'400;

struct ClientKey {
  std::string name;
  NodeId key;  ///< CURVE
  ClientRights rights;
  std::uint64_t created_ms = 0;             ///< UTC
  std::optional<std::uint64_t> expires_ms;  ///< UTC

  bool is_expired(std::uint64_t now_ms) const { return expires_ms && now_ms >= *expires_ms; }
};

class ClientKeys {
 public:
  /// As encode() made it; nothing is no client. `corrupt` if it is something else, `invalid` if it
  /// is of a newer format.
  static Result<ClientKeys> decode(ByteView bytes);
  Bytes encode() const;

  /// A name whose credential has expired may be used again. `invalid` for a name or rights that
  /// cannot be and for one that is taken, `full` when there are too many.
  Status add(ClientKey client, std::uint64_t now_ms);

  /// `not_found` if there is no such name.
  Result<ClientKey> revoke(std::string_view name);

  /// `denied`, saying why, unless the key is a client's that has not expired.
  Result<const ClientKey*> check(const NodeId& key, std::uint64_t now_ms) const;

  /// Up to `limit` clients whose names come after `after`, in order.
  std::vector<const ClientKey*> page(std::string_view after, std::size_t limit) const;
  std::size_t size() const { return clients_.size(); }

 private:
  Status check_room(std::uint64_t now_ms);
  void put(ClientKey client);
  void drop(std::map<std::string, ClientKey, std::less<>>::iterator client);

  std::map<std::string, ClientKey, std::less<>> clients_;  ///< by name
  std::map<NodeId, std::string> names_;
  std::size_t rights_bytes_ = 0;
};

}  // namespace zerodb
