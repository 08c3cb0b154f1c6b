#pragma once
// Sockets on this machine that only the user who runs the node may open. Inside of bus/. Any
// thread.

#include <filesystem>

#include <zmq.hpp>

#include "store/result.hpp"

namespace zerodb {

/// Binds to "ipc://PATH"; answers PATH. Nobody else may connect, not even for a moment; a socket
/// left behind by a node that was killed is replaced. `invalid` when the path is too long or holds
/// something else; throws zmq::error_t when it cannot be bound.
Result<std::filesystem::path> bind_to_private_file(zmq::socket_t& socket,
                                                   const std::string& endpoint);

}  // namespace zerodb
