#include "tools/zscale_links.hpp"

#include <malloc.h>
#include <unistd.h>

#include <fstream>
#include <vector>

#include "bus/curve.hpp"

namespace zerodb::scale {

namespace {

/// Of this process, of which `statm` counts pages: all, then resident.
double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  std::size_t all = 0;
  std::size_t resident = 0;
  statm >> all >> resident;
  return static_cast<double>(resident) * static_cast<double>(sysconf(_SC_PAGESIZE));
}

zmq::const_buffer buffer_of(ByteView key) {
  return zmq::buffer(key.data(), key.size());
}

zmq::socket_t make_server(zmq::context_t& context, const CurvePair& keys) {
  zmq::socket_t server(context, zmq::socket_type::router);
  server.set(zmq::sockopt::curve_server, true);
  server.set(zmq::sockopt::curve_secretkey, buffer_of(keys.secret.view()));
  server.set(zmq::sockopt::linger, 0);
  server.bind("tcp://127.0.0.1:*");
  return server;
}

/// Connected and through its handshake: the server has read a message of it.
zmq::socket_t make_client(zmq::context_t& context, const CurvePair& keys,
                          const CurvePair& of_server, zmq::socket_t& server) {
  zmq::socket_t client(context, zmq::socket_type::dealer);
  client.set(zmq::sockopt::curve_serverkey, buffer_of(of_server.public_key.view()));
  client.set(zmq::sockopt::curve_publickey, buffer_of(keys.public_key.view()));
  client.set(zmq::sockopt::curve_secretkey, buffer_of(keys.secret.view()));
  client.set(zmq::sockopt::linger, 0);
  client.connect(server.get(zmq::sockopt::last_endpoint));
  client.send(zmq::message_t(1), zmq::send_flags::none);
  for (bool more = true; more;) {
    zmq::message_t frame;
    static_cast<void>(server.recv(frame));
    more = frame.more();
  }
  return client;
}

}  // namespace

Result<double> measure_connection_bytes(std::size_t connections) {
  try {
    zmq::context_t context(1);
    const auto server_keys = CurvePair::generate();
    const auto client_keys = CurvePair::generate();
    auto server = make_server(context, server_keys);
    std::vector<zmq::socket_t> clients;
    clients.push_back(make_client(context, client_keys, server_keys, server));
    malloc_trim(0);
    const double before = resident_bytes();
    for (std::size_t i = 0; i < connections; ++i)
      clients.push_back(make_client(context, client_keys, server_keys, server));
    return (resident_bytes() - before) / static_cast<double>(connections);
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, std::string("cannot make ") + std::to_string(connections) +
                              " connections: " + error.what() +
                              "; raise the limit of open files (ulimit -n)");
  }
}

}  // namespace zerodb::scale
