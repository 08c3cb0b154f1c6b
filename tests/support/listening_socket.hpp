#pragma once
// TCP ports of the loopback that are taken for as long as these live. Any thread.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>

namespace zerodb::test {

/// Nobody listens there, and nobody else can: whoever connects is refused.
class SilentPort {
 public:
  SilentPort() : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* plain = reinterpret_cast<sockaddr*>(&address);
    socklen_t length = sizeof address;
    if (::bind(socket_, plain, length) != 0 || ::getsockname(socket_, plain, &length) != 0) {
      throw std::runtime_error{"cannot take a port of the loopback"};
    }
    port_ = ntohs(address.sin_port);
  }
  ~SilentPort() { ::close(socket_); }
  SilentPort(const SilentPort&) = delete;
  SilentPort& operator=(const SilentPort&) = delete;

  std::uint16_t port() const { return port_; }

 protected:
  int socket_;

 private:
  std::uint16_t port_ = 0;
};

/// Who connects is let wait.
class ListeningSocket : public SilentPort {
 public:
  ListeningSocket() {
    if (::listen(socket_, 1) != 0) throw std::runtime_error{"cannot listen on the loopback"};
  }
};

}  // namespace zerodb::test
