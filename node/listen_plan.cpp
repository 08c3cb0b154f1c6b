#include "node/listen_plan.hpp"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "node/host_port.hpp"

namespace zerodb {

namespace {

/// Of "tcp://HOST:PORT", where HOST may be a wildcard; 0 if it is none.
std::uint16_t port_of(std::string_view endpoint) {
  constexpr std::string_view scheme = "tcp://";
  if (!endpoint.starts_with(scheme)) return 0;
  const auto parsed = parse_host_port(endpoint.substr(scheme.size()));
  return parsed ? parsed->port : std::uint16_t{0};
}

std::vector<std::uint16_t> ports_to_try(std::uint16_t wanted, std::uint16_t last) {
  if (wanted != 0) return {wanted};
  if (last != 0) return {last, 0};
  return {0};
}

/// Where broadcasts go when nothing is said about it, given the other port.
std::vector<std::uint16_t> broadcast_ports_beside(std::uint16_t port, std::uint16_t last) {
  std::vector<std::uint16_t> ports;
  if (last != 0) ports.push_back(last);
  if (port != 0 && port != 65535) ports.push_back(static_cast<std::uint16_t>(port + 1));
  ports.push_back(0);
  return ports;
}

/// The system's addresses of a "host:port" in numbers; nothing if it is a name.
class Addresses {
 public:
  explicit Addresses(const HostPort& at) {
    auto host = at.host == "*" ? std::string("0.0.0.0") : at.host;
    if (host.starts_with('[')) host = host.substr(1, host.size() - 2);
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    if (::getaddrinfo(host.c_str(), std::to_string(at.port).c_str(), &hints, &first_) != 0) {
      first_ = nullptr;
    }
  }
  ~Addresses() {
    if (first_ != nullptr) ::freeaddrinfo(first_);
  }
  Addresses(const Addresses&) = delete;
  Addresses& operator=(const Addresses&) = delete;
  const addrinfo* first() const { return first_; }

 private:
  addrinfo* first_ = nullptr;
};

}  // namespace

std::vector<ListenAddresses> listen_plan(const Config& config,
                                         const std::optional<NodeRecord>& last) {
  const auto main = parse_host_port(config.listen);
  const auto broadcast =
      parse_host_port(config.broadcast_listen.empty() ? config.listen : config.broadcast_listen);
  if (!main || !broadcast) return {{"tcp://" + config.listen, "tcp://" + config.broadcast_listen}};
  const auto last_main = last ? port_of(last->endpoint) : std::uint16_t{0};
  const auto last_broadcast = last ? port_of(last->broadcast_endpoint) : std::uint16_t{0};

  std::vector<ListenAddresses> plan;
  for (const auto port : ports_to_try(main->port, last_main)) {
    const auto kept = port == last_main ? last_broadcast : std::uint16_t{0};
    const auto beside = config.broadcast_listen.empty() ? broadcast_ports_beside(port, kept)
                                                        : ports_to_try(broadcast->port, kept);
    for (const auto other : beside) {
      plan.push_back(
          {HostPort{main->host, port}.endpoint(), HostPort{broadcast->host, other}.endpoint()});
    }
  }
  return plan;
}

ListenAddresses choose_addresses(const std::vector<ListenAddresses>& plan,
                                 const std::function<bool(const std::string& endpoint)>& is_free) {
  const auto found = std::ranges::find_if(plan, [&](const ListenAddresses& both) {
    return is_free(both.listen) && is_free(both.broadcast_listen);
  });
  return found != plan.end() ? *found : plan.back();
}

std::string choose_client_endpoint(
    const std::string& listen, const std::string& last,
    const std::function<bool(const std::string& endpoint)>& is_free) {
  const auto wanted = parse_host_port(listen);
  if (!wanted) return listen.empty() ? listen : "tcp://" + listen;
  for (const auto port : ports_to_try(wanted->port, port_of(last))) {
    auto endpoint = HostPort{wanted->host, port}.endpoint();
    if (is_free(endpoint)) return endpoint;
  }
  return wanted->endpoint();
}

bool is_free_endpoint(const std::string& endpoint) {
  const auto parsed = parse_host_port(std::string_view(endpoint).substr(endpoint.find("//") + 2));
  if (!parsed || parsed->port == 0) return true;
  const Addresses addresses(*parsed);
  if (addresses.first() == nullptr) return true;  // whoever binds it will say what is wrong
  const auto& address = *addresses.first();
  const int probe = ::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (probe < 0) return true;
  const int on = 1;  // as libzmq does: connections of an earlier run, closing still, do not matter
  ::setsockopt(probe, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const bool taken = ::bind(probe, address.ai_addr, address.ai_addrlen) != 0 && errno == EADDRINUSE;
  ::close(probe);
  return !taken;
}

}  // namespace zerodb
