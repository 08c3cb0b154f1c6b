#pragma once
// Which ports a node listens on. A node that may take any port keeps to those it had, as long as
// they are free, so that nodes which all restart at once find each other. Blocking; thread-safe.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "node/config.hpp"
#include "node/roster.hpp"

namespace zerodb {

/// "tcp://HOST:PORT", port 0 for any.
struct ListenAddresses {
  std::string listen;
  std::string broadcast_listen;
  bool operator==(const ListenAddresses&) const = default;
};

/// What to try, best first; never empty. `last` is what the node said of itself when it last ran.
/// `config` must have passed check_config().
std::vector<ListenAddresses> listen_plan(const Config& config,
                                         const std::optional<NodeRecord>& last);

/// The first of the plan whose ports are free, or the last of it.
ListenAddresses choose_addresses(const std::vector<ListenAddresses>& plan,
                                 const std::function<bool(const std::string& endpoint)>& is_free);

/// Where to serve remote clients: like listen_plan(), by where they were served last.
std::string choose_client_endpoint(const std::string& listen, const std::string& last,
                                   const std::function<bool(const std::string& endpoint)>& is_free);

/// True unless something listens on this address already.
bool is_free_endpoint(const std::string& endpoint);

}  // namespace zerodb
