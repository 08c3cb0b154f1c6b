#pragma once
// Between the ports for clients and the node: local programs may do everything, remote ones what
// their credentials grant at that moment. Gives credentials out and takes them back. One thread:
// the node's executor.

#include <functional>
#include <map>
#include <set>
#include <string>

#include "bus/client_port.hpp"
#include "node/client_keys.hpp"
#include "node/runtime.hpp"

namespace zerodb {

/// The list of clients on disk.
struct ClientKeysFile {
  Bytes content;
  std::function<Status(ByteView)> save;  ///< durably, in place of what was there
};

class ClientGate final : public ClientHandler {
 public:
  /// `server` is the key that remote clients know the node by. All outlive the gate.
  ClientGate(Runtime& runtime, ClientHandler& node, const NodeId& server, ClientKeysFile file);

  /// Why no remote client can be let in: the list of them is damaged.
  const std::optional<Error>& trouble() const { return trouble_; }

  /// Where remote clients reach this node; until it is set no credentials are made.
  void set_endpoint(std::string endpoint) { endpoint_ = std::move(endpoint); }

  /// Whether a key gets through a handshake now.
  bool admits(const NodeId& key) const;

  Task<Result<ClientAnswer>> on_client_request(ClientId client, ClientIdentity identity,
                                               client::Request request, Payload payload) override;
  void on_client_gone(ClientId client) override;

 private:
  using Reply = Task<Result<ClientAnswer>>;

  Reply on_local(ClientId client, client::Request request, Payload payload);
  Reply on_remote(ClientId client, NodeId key, client::Request request, Payload payload);
  void drop(ClientId client);
  void drop_all_of(const NodeId& credential);
  Result<const ClientKey*> credential_of(ClientId client, const NodeId& key);
  Status check(ClientId client, const NodeId& key, const client::Request& request);

  Result<ClientAnswer> add(client::ClientAdd request);
  Result<ClientAnswer> list(const client::ClientList& request) const;
  Result<ClientAnswer> revoke(const client::ClientRevoke& request);
  Status check_administered() const;

  Runtime& runtime_;
  ClientHandler& node_;
  NodeId server_;
  std::function<Status(ByteView)> save_;
  ClientKeys keys_;
  std::set<std::string> struck_out_;  ///< clients that the file may still name
  std::optional<Error> trouble_;
  std::string endpoint_;
  std::map<ClientId, NodeId> remote_;  ///< that the node knows, and their credentials
};

}  // namespace zerodb
