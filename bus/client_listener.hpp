#pragma once
// Opens the socket of a client port, with a watch on its connections. Inside of ClientPort. One
// thread: the io_context's.

#include <filesystem>

#include "bus/client_port.hpp"
#include "bus/connection_watch.hpp"

namespace zerodb {

struct ClientListener {
  std::shared_ptr<Socket> router;
  std::shared_ptr<ConnectionWatch> watch;  ///< on its connections, not running yet
  std::string endpoint;                    ///< really bound
  std::filesystem::path path;              ///< of the socket's file, which libzmq leaves behind
};

/// On ipc://; see ClientPort::start.
Result<ClientListener> listen_locally(asio::io_context& io, BusContext& context,
                                      const std::string& endpoint);

/// On TCP with CURVE; see ClientPort::start_remote.
Result<ClientListener> listen_remotely(asio::io_context& io, BusContext& context, ZapHandler& zap,
                                       const CurvePair& keys, const std::string& endpoint);

}  // namespace zerodb
