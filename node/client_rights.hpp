#pragma once
// What a remote client may do: which keys it may read, write and delete, by their beginnings, and
// which command takes which right. What is not said here to be allowed is not. Pure; thread-safe.

#include <string>
#include <vector>

#include "bus/client_message.hpp"
#include "store/result.hpp"

namespace zerodb {

/// Beginnings of keys; the empty one is that of every key. None: nothing.
struct ClientRights {
  std::vector<std::string> read;
  std::vector<std::string> write;
  std::vector<std::string> remove;
  bool operator==(const ClientRights&) const = default;
};

inline constexpr std::size_t client_prefixes_max = 64;
inline constexpr std::size_t client_rights_bytes_max = 4096;  ///< of all prefixes

/// `invalid`, saying why, unless there is a right, each prefix can be one, and they are not too
/// many.
Status check_rights(const ClientRights& rights);

/// `denied`, saying what is missing, unless `rights` cover the request. What belongs to an upload
/// or download is covered: it was when that was opened, with the same credential.
Status check_allowed(const ClientRights& rights, const client::Request& request);

}  // namespace zerodb
