#pragma once
// How every socket between machines is set up: CURVE keys, ZAP, and limits. Each function belongs
// to the thread of the socket it is given.

#include <string>
#include <zmq.hpp>

#include "store/keys.hpp"

namespace zerodb {

/// A sealed chunk is the largest thing that travels between nodes.
inline constexpr std::size_t payload_bytes_max = (std::size_t{1} << 20) + 1024;

/// The same, with what CURVE adds: a connection that sends more is cut.
inline constexpr std::int64_t frame_bytes_max = payload_bytes_max + 1024;

/// Names of what is served, as the ZAP handler sees them.
inline constexpr std::string_view peer_domain = "zerodb";
inline constexpr std::string_view broadcast_domain = "zerodb.broadcast";
inline constexpr std::string_view client_domain = "zerodb.client";

struct SocketLimits {
  int send_messages_max = 0;     ///< per connection; 0 is no limit
  int receive_messages_max = 0;  ///< likewise
  std::int64_t frame_bytes_max = zerodb::frame_bytes_max;
};

/// Keep-alive, timeouts and limits; to be called before bind or connect, like the two below.
Status set_limits(zmq::socket_t& socket, const SocketLimits& limits);

/// Only peers that the ZAP handler allows in `domain` get through a handshake with this socket;
/// without a ZAP handler, nobody does.
Status serve_curve(zmq::socket_t& socket, const CurvePair& keys, std::string_view domain);

/// Speaks only to the holder of `server`'s secret.
Status use_curve(zmq::socket_t& socket, const CurvePair& keys, const NodeId& server);

/// The endpoint really bound, with the port the system chose.
Result<std::string> listen_on(zmq::socket_t& socket, const std::string& endpoint);

/// `invalid` if `endpoint` cannot be one. Connecting itself goes on behind.
Status connect_to(zmq::socket_t& socket, const std::string& endpoint);

}  // namespace zerodb
