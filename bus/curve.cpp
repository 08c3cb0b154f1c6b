#include "bus/curve.hpp"

#include <cerrno>

namespace zerodb {
namespace {

/// ZMQ_ZAP_ENFORCE_DOMAIN: a draft in the header of libzmq 4.3, but there in the library. Without
/// it, a socket whose ZAP handler is missing lets everyone in.
constexpr int zap_enforce_domain = 93;

/// Sets one option after the other and remembers the first that failed.
class Options {
 public:
  explicit Options(zmq::socket_t& socket) : socket_(socket) {}

  Options& set(int option, int value) { return set_raw(option, &value, sizeof value); }
  Options& set(int option, std::int64_t value) { return set_raw(option, &value, sizeof value); }
  Options& set(int option, ByteView value) { return set_raw(option, value.data(), value.size()); }

  Status status() const {
    if (failed_option_ == 0) return {};
    return fail(Errc::io, "cannot set socket option " + std::to_string(failed_option_) + ": " +
                              zmq_strerror(error_));
  }

 private:
  Options& set_raw(int option, const void* value, std::size_t size) {
    if (failed_option_ != 0) return *this;
    if (zmq_setsockopt(socket_.handle(), option, value, size) != 0) {
      failed_option_ = option;
      error_ = zmq_errno();
    }
    return *this;
  }

  zmq::socket_t& socket_;
  int failed_option_ = 0;
  int error_ = 0;
};

/// With IPv6 on, libzmq writes 127.0.0.1 as [::ffff:127.0.0.1].
std::string without_mapping(std::string endpoint) {
  const std::string_view mapped = "[::ffff:";
  const auto start = endpoint.find(mapped);
  const auto end = endpoint.find(']');
  if (start == std::string::npos || endpoint.find('.') == std::string::npos) return endpoint;
  return endpoint.erase(end, 1).erase(start, mapped.size());
}

std::string bind_advice(int error) {
  if (error == EADDRINUSE) return "; is another node running there? Choose another --listen";
  if (error == EACCES) return "; choose a port above 1023";
  return "; --listen takes a numeric address of this machine and a port";
}

}  // namespace

Status set_limits(zmq::socket_t& socket, const SocketLimits& limits) {
  return Options(socket)
      .set(ZMQ_LINGER, 0)
      .set(ZMQ_IPV6, 1)
      .set(ZMQ_BACKLOG, 1024)
      .set(ZMQ_SNDHWM, limits.send_messages_max)
      .set(ZMQ_RCVHWM, limits.receive_messages_max)
      .set(ZMQ_MAXMSGSIZE, limits.frame_bytes_max)
      .set(ZMQ_HANDSHAKE_IVL, 5000)
      .set(ZMQ_CONNECT_TIMEOUT, 5000)
      .set(ZMQ_RECONNECT_IVL, 200)
      .set(ZMQ_RECONNECT_IVL_MAX, 2000)
      .set(ZMQ_TCP_KEEPALIVE, 1)
      .set(ZMQ_TCP_KEEPALIVE_IDLE, 30)
      .set(ZMQ_TCP_KEEPALIVE_INTVL, 10)
      .set(ZMQ_TCP_KEEPALIVE_CNT, 3)
      .status();
}

Status serve_curve(zmq::socket_t& socket, const CurvePair& keys, std::string_view domain) {
  return Options(socket)
      .set(ZMQ_ZAP_DOMAIN, as_bytes(domain))
      .set(zap_enforce_domain, 1)
      .set(ZMQ_CURVE_SERVER, 1)
      .set(ZMQ_CURVE_SECRETKEY, keys.secret.view())
      .status();
}

Status use_curve(zmq::socket_t& socket, const CurvePair& keys, const NodeId& server) {
  return Options(socket)
      .set(ZMQ_CURVE_SERVERKEY, server.view())
      .set(ZMQ_CURVE_PUBLICKEY, keys.public_key.view())
      .set(ZMQ_CURVE_SECRETKEY, keys.secret.view())
      .status();
}

Result<std::string> listen_on(zmq::socket_t& socket, const std::string& endpoint) {
  try {
    socket.bind(endpoint);
    return without_mapping(socket.get(zmq::sockopt::last_endpoint));
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, "cannot listen on " + printable(endpoint) + ": " + error.what() +
                              bind_advice(error.num()));
  }
}

Status connect_to(zmq::socket_t& socket, const std::string& endpoint) {
  try {
    socket.connect(endpoint);
    return {};
  } catch (const zmq::error_t& error) {
    return fail(Errc::invalid, "cannot connect to " + printable(endpoint) + ": " + error.what());
  }
}

}  // namespace zerodb
