#include "bus/client_listener.hpp"

#include "bus/client_socket_path.hpp"
#include "bus/curve_server.hpp"
#include "bus/private_socket.hpp"

namespace zerodb {

namespace {

constexpr int unread_replies_max = 1000;  ///< of one client; after that it is given up

/// Of one connection: they are read at once, so that no more gather than arrive in between. Frames
/// may be large, and each client may have many connections.
constexpr int unread_requests_max = 32;

/// What CURVE adds to a frame, and more.
constexpr std::int64_t curve_bytes = 1024;

}  // namespace

Result<ClientListener> listen_locally(asio::io_context& io, BusContext& context,
                                      const std::string& endpoint) {
  auto router = Socket::open(io, context, zmq::socket_type::router);
  if (!router) return fail(std::move(router.error()));
  auto watch = ConnectionWatch::start(io, context, *router);
  if (!watch) return fail(std::move(watch.error()));
  try {
    auto& socket = (*router)->zmq();
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::maxmsgsize, client_frame_bytes_max);
    socket.set(zmq::sockopt::router_mandatory, true);
    socket.set(zmq::sockopt::sndhwm, unread_replies_max);
    socket.set(zmq::sockopt::backlog, 1024);
    auto path = bind_to_private_file(socket, endpoint);
    if (!path) return fail(std::move(path.error()));
    return ClientListener{std::move(*router), std::move(*watch), endpoint_of(*path),
                          std::move(*path)};
  } catch (const zmq::error_t& error) {
    return fail(Errc::io,
                printable(endpoint) + ": clients cannot be served there: " + error.what());
  }
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
  auto watch = ConnectionWatch::start(io, context, *router);
  if (!watch) return fail(std::move(watch.error()));
  try {
    (*router)->zmq().set(zmq::sockopt::router_mandatory, true);
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, std::string("the port for clients cannot be set up: ") + error.what());
  }
  auto bound = listen_on((*router)->zmq(), endpoint);
  if (!bound) return fail("the port for clients (client_listen)", std::move(bound.error()));
  return ClientListener{std::move(*router), std::move(*watch), std::move(*bound), {}};
}

}  // namespace zerodb
