#include "bus/client_listener.hpp"

#include <sys/stat.h>

#include <atomic>

#include "bus/client_socket_path.hpp"
#include "bus/curve_server.hpp"

namespace zerodb {

namespace {

constexpr std::string_view ipc_scheme = "ipc://";
constexpr int unread_replies_max = 1000;  ///< of one client; after that it is given up

/// Of one connection: they are read at once, so that no more gather than arrive in between. Frames
/// may be large, and each client may have many connections.
constexpr int unread_requests_max = 32;

/// What CURVE adds to a frame, and more.
constexpr std::int64_t curve_bytes = 1024;

/// A socket left behind by a node that was killed may be replaced; nothing else may.
Status check_socket_path(const std::filesystem::path& path) {
  if (path.string().size() > socket_path_bytes_max) {
    return fail(too_long_for_socket(path));
  }
  std::error_code ignored;
  const auto kind = std::filesystem::status(path, ignored).type();
  if (kind == std::filesystem::file_type::not_found || kind == std::filesystem::file_type::socket) {
    return {};
  }
  return fail(Errc::invalid,
              printable(path.string()) + ": is in the way, and is not a socket; move it elsewhere");
}

/// Nobody else may connect, not even between the making of the socket file and chmod.
void bind_privately(zmq::socket_t& router, const std::string& endpoint) {
  const auto before = ::umask(0177);
  try {
    router.bind(endpoint);
  } catch (...) {
    ::umask(before);
    throw;
  }
  ::umask(before);
}

void monitor_into(zmq::socket_t& monitor, zmq::socket_t& router) {
  static std::atomic<unsigned> count{0};
  const auto address = "inproc://client-port-" + std::to_string(++count);
  if (zmq_socket_monitor(router.handle(), address.c_str(), ZMQ_EVENT_DISCONNECTED) != 0) {
    throw zmq::error_t();
  }
  monitor.set(zmq::sockopt::linger, 0);
  monitor.set(zmq::sockopt::rcvhwm, 0);  // libzmq drops events at the mark, and one matters
  monitor.connect(address);
}

}  // namespace

Result<ClientListener> listen_locally(asio::io_context& io, BusContext& context,
                                      const std::string& endpoint) {
  const std::filesystem::path path =
      endpoint.starts_with(ipc_scheme) ? endpoint.substr(ipc_scheme.size()) : endpoint;
  if (auto checked = check_socket_path(path); !checked) return fail(std::move(checked.error()));
  auto router = Socket::open(io, context, zmq::socket_type::router);
  if (!router) return fail(std::move(router.error()));
  auto monitor = Socket::open(io, context, zmq::socket_type::pair);
  if (!monitor) return fail(std::move(monitor.error()));
  try {
    auto& socket = (*router)->zmq();
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::maxmsgsize, client_frame_bytes_max);
    socket.set(zmq::sockopt::router_mandatory, true);
    socket.set(zmq::sockopt::sndhwm, unread_replies_max);
    socket.set(zmq::sockopt::backlog, 1024);
    monitor_into((*monitor)->zmq(), socket);
    bind_privately(socket, endpoint_of(path));
  } catch (const zmq::error_t& error) {
    return fail(Errc::io,
                printable(path.string()) + ": clients cannot be served there: " + error.what());
  }
  return ClientListener{std::move(*router), std::move(*monitor), endpoint_of(path), path};
}

Result<ClientListener> listen_remotely(asio::io_context& io, BusContext& context, ZapHandler& zap,
                                       const CurvePair& keys, const std::string& endpoint) {
  auto router =
      open_curve_server(io, context, zap, keys,
                        {.type = zmq::socket_type::router,
                         .domain = client_domain,
                         .limits = {.send_messages_max = unread_replies_max,
                                    .receive_messages_max = unread_requests_max,
                                    .frame_bytes_max = client_frame_bytes_max + curve_bytes}});
  if (!router) return fail("the port for clients", std::move(router.error()));
  auto monitor = Socket::open(io, context, zmq::socket_type::pair);
  if (!monitor) return fail(std::move(monitor.error()));
  try {
    (*router)->zmq().set(zmq::sockopt::router_mandatory, true);
    monitor_into((*monitor)->zmq(), (*router)->zmq());
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, std::string("the port for clients cannot be set up: ") + error.what());
  }
  auto bound = listen_on((*router)->zmq(), endpoint);
  if (!bound) return fail("the port for clients (client_listen)", std::move(bound.error()));
  return ClientListener{std::move(*router), std::move(*monitor), std::move(*bound), {}};
}

}  // namespace zerodb
