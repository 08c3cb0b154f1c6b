#pragma once
// Where programs speak to their node: a ROUTER on an ipc:// address whose file permissions decide
// who may connect, and one on TCP whose CURVE handshake does. DEALER and REQ both work. Several
// ports may share a handler. Runs on the io_context's thread.

#include <memory>
#include <optional>
#include <string>

#include <asio/io_context.hpp>

#include "bus/client_message.hpp"
#include "bus/context.hpp"
#include "bus/links.hpp"
#include "store/keys.hpp"

namespace zerodb {

class ZapHandler;

/// One connection of a client, for as long as it lasts; of all ports of the process.
using ClientId = std::uint64_t;

/// Who a client is, as its connection proves it.
struct ClientIdentity {
  std::optional<NodeId> credential;  ///< its CURVE key; nothing: a local program
  bool operator==(const ClientIdentity&) const = default;
};

struct ClientAnswer {
  client::Reply message;
  Payload payload;
};

class ClientHandler {
 public:
  virtual ~ClientHandler() = default;

  /// Answers one request; an error becomes an error reply. Requests of one client start in the
  /// order they were sent; many run at once. Nothing is known of a remote client but that it was
  /// let in when it connected: the handler decides, for each request, whether it still may.
  virtual Task<Result<ClientAnswer>> on_client_request(ClientId client, ClientIdentity identity,
                                                       client::Request request,
                                                       Payload payload) = 0;

  /// The client is gone: drop what it left open. Said again after each of its requests that was
  /// still being answered then.
  virtual void on_client_gone(ClientId client) = 0;
};

/// What is called a client here is one connection on a local port, and all connections with one
/// credential on a remote one.
struct ClientPortOptions {
  std::string endpoint;            ///< "ipc:///path/client.sock", or "tcp://host:port"
  std::size_t clients_max = 4096;  ///< connections
  std::size_t connections_per_client_max = 1024;
  std::size_t requests_per_client_max = 256;  ///< under way at once; more get `busy`
  std::size_t client_bytes_max = 64 << 20;  ///< of requests under way; and of replies not yet sent
  std::uint64_t requests_per_s_max = 0;     ///< beyond it requests wait; 0: no limit
  std::uint64_t bytes_per_s_max = 0;        ///< likewise, of requests and replies
};

class ClientPort {
 public:
  virtual ~ClientPort() = default;

  /// Binds, with a socket file that only this user may open; a stale one is replaced. `invalid`
  /// when the path is too long or holds something else, `io` when it cannot be bound.
  static Result<std::unique_ptr<ClientPort>> start(asio::io_context& io, BusContext& context,
                                                   const ClientPortOptions& options,
                                                   ClientHandler& handler);

  /// Binds to TCP as a CURVE server with `keys`, in the ZAP domain client_domain, once it is
  /// proved that `zap` keeps strangers out of it. `io` when the address cannot be bound.
  static Result<std::unique_ptr<ClientPort>> start_remote(asio::io_context& io, BusContext& context,
                                                          ZapHandler& zap, const CurvePair& keys,
                                                          const ClientPortOptions& options,
                                                          ClientHandler& handler);

  /// The endpoint really bound, with the port the system chose.
  virtual std::string endpoint() const = 0;

  /// Closes the socket. Requests being answered go on; their replies are dropped.
  virtual void stop() = 0;
};

}  // namespace zerodb
