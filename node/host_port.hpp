#pragma once
// Addresses as people write them: "HOST:PORT", an IPv6 host in brackets. Pure functions.

#include <cstdint>
#include <string>
#include <string_view>

#include "store/result.hpp"

namespace zerodb {

inline constexpr std::size_t endpoint_bytes_max = 255;

struct HostPort {
  std::string host;  ///< a name, an IPv4 address, "[IPv6]", or "*"
  std::uint16_t port = 0;

  /// True for the addresses that mean "every interface": they can be bound, never dialled.
  bool is_wildcard() const;
  std::string text() const;  ///< "host:port"
  std::string endpoint() const { return "tcp://" + text(); }
};

/// `invalid`, saying what is wrong, unless `text` is HOST:PORT.
Result<HostPort> parse_host_port(std::string_view text);

/// Like parse_host_port, for "tcp://HOST:PORT" that can be dialled: no wildcard, no port 0.
Result<HostPort> parse_endpoint(std::string_view text);

/// `endpoint` ("tcp://HOST:PORT") with another host.
std::string with_host(const std::string& endpoint, const std::string& host);

}  // namespace zerodb
