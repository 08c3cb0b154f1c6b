#pragma once
// A node in the real world: sockets, threads and the store on disk around Node. What it needs from
// its data folder is handed in; it reads no settings of its own. Made, run and dropped on one
// thread; stop() may be called from any.

#include <filesystem>
#include <memory>
#include <string>

#include "bus/zmq_links.hpp"
#include "node/client_gate.hpp"
#include "node/membership.hpp"
#include "node/node.hpp"

namespace zerodb {

/// What a daemon is made of, as shown to whoever stands in front of its node.
struct DaemonParts {
  asio::io_context& io;
  BusContext& bus;
  const NodeKeys& keys;
  NodeContext context;
  ZmqLinks& links;
  Membership& membership;
  LinkHandler& node;
};

/// Makes what hears other members in the node's place, and may hand on to it. For programs that
/// misbehave on purpose (tests/hostile).
using InFront = std::function<std::unique_ptr<LinkHandler>(const DaemonParts&)>;

struct DaemonSpec {
  NodeKeys keys;
  SignedRoster roster;
  std::optional<SignedRoster> settled_roster;
  std::vector<SignedRoster> older_rosters;
  std::uint64_t rosters_over_before = 0;
  std::optional<SigningKey> mesh_key;
  std::optional<OwnerKeys> owner;
  MembershipState membership;
  MembershipFiles membership_files;
  NodeFiles node_files;

  std::filesystem::path store_folder;
  std::function<Status()> forget_settled;  ///< durably: the store lost what it held
  std::uint64_t reserve_bytes = 64 << 20;
  std::uint64_t index_cache_bytes = 64 << 20;
  std::filesystem::path client_socket;
  std::filesystem::path event_socket;
  ClientPortOptions remote_clients;  ///< served on its endpoint, unless that is empty
  ClientKeysFile client_keys;
  std::function<void(const std::string&)> on_client_endpoint;  ///< told the one really bound
  ZmqLinksOptions links;
  std::string advertise_host;  ///< in place of the host listened on; empty: that one
  int io_threads = 1;
  std::size_t disk_threads = 16;
  NodeOptions node;
  InFront in_front;  ///< nothing: the node hears for itself
};

class Daemon {
 public:
  /// Opens the store, binds, proves that strangers are refused, and serves from run() on.
  static Result<std::unique_ptr<Daemon>> start(DaemonSpec spec);
  virtual ~Daemon() = default;

  virtual std::string endpoint() const = 0;

  /// Where remote clients are served; empty if they are not.
  virtual std::string client_endpoint() const = 0;

  /// Serves until stop(). Everything is closed in order when it returns.
  virtual void run() = 0;

  /// Asks run() to return. Thread-safe.
  virtual void stop() = 0;
};

}  // namespace zerodb
