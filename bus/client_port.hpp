#pragma once
// Where programs speak to their node: a ROUTER on an ipc:// address whose file permissions decide
// who may connect. DEALER and REQ both work. Runs on the io_context's thread.

#include <memory>
#include <string>

#include <asio/io_context.hpp>

#include "bus/client_message.hpp"
#include "bus/context.hpp"
#include "bus/links.hpp"

namespace zerodb {

/// One connection of a client, for as long as it lasts.
using ClientId = std::uint64_t;

struct ClientAnswer {
  client::Reply message;
  Payload payload;
};

class ClientHandler {
 public:
  virtual ~ClientHandler() = default;

  /// Answers one request; an error becomes an error reply. Requests of one client start in the
  /// order they were sent; many run at once.
  virtual Task<Result<ClientAnswer>> on_client_request(ClientId client, client::Request request,
                                                       Payload payload) = 0;

  /// The client is gone: drop what it left open. Said again after each of its requests that was
  /// still being answered then.
  virtual void on_client_gone(ClientId client) = 0;
};

struct ClientPortOptions {
  std::string endpoint;  ///< "ipc:///path/client.sock"
  std::size_t clients_max = 4096;
  std::size_t requests_per_client_max = 256;  ///< being answered at once; more get `busy`
  std::size_t client_bytes_max = 64
                                 << 20;  ///< of replies a client has not read: then it is dropped
};

class ClientPort {
 public:
  virtual ~ClientPort() = default;

  /// Binds, with a socket file that only this user may open; a stale one is replaced. `invalid`
  /// when the path is too long or holds something else, `io` when it cannot be bound.
  static Result<std::unique_ptr<ClientPort>> start(asio::io_context& io, BusContext& context,
                                                   const ClientPortOptions& options,
                                                   ClientHandler& handler);

  /// Closes the socket. Requests being answered go on; their replies are dropped.
  virtual void stop() = 0;
};

}  // namespace zerodb
