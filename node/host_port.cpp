#include "node/host_port.hpp"

#include <algorithm>
#include <charconv>

#include "store/bytes.hpp"

namespace zerodb {

namespace {

constexpr std::string_view scheme = "tcp://";

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '-' || c == '_';
}

bool is_host(std::string_view host) {
  if (host == "*") return true;
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    const auto inner = host.substr(1, host.size() - 2);
    return std::ranges::all_of(inner, [](char c) { return is_plain(c) || c == ':' || c == '%'; });
  }
  return !host.empty() && std::ranges::all_of(host, is_plain);
}

}  // namespace

bool HostPort::is_wildcard() const {
  return host == "*" || host == "0.0.0.0" || host == "[::]";
}

std::string HostPort::text() const {
  return host + ":" + std::to_string(port);
}

Result<HostPort> parse_host_port(std::string_view text) {
  const auto bad = [text](std::string_view why) {
    return fail(Errc::invalid, "address '" + printable(text) + "': " + std::string(why));
  };
  if (text.size() > endpoint_bytes_max) return bad("longer than 255 bytes");
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad("expected HOST:PORT, such as 127.0.0.1:7710");
  const auto host = text.substr(0, colon);
  if (!is_host(host)) return bad("the host is not a name or an address (IPv6 goes in brackets)");
  const auto digits = text.substr(colon + 1);
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (error != std::errc{} || end != digits.data() + digits.size() || digits.empty()) {
    return bad("the port must be a number from 0 to 65535");
  }
  return HostPort{std::string(host), port};
}

Result<HostPort> parse_endpoint(std::string_view text) {
  const auto bad = [text](std::string_view why) {
    return fail(Errc::invalid, "endpoint '" + printable(text) + "': " + std::string(why));
  };
  if (text.size() > endpoint_bytes_max) return bad("longer than 255 bytes");
  if (!text.starts_with(scheme)) return bad("expected tcp://HOST:PORT");
  auto parsed = parse_host_port(text.substr(scheme.size()));
  if (!parsed) return fail(std::move(parsed.error()));
  if (parsed->is_wildcard() || parsed->port == 0) return bad("nobody can dial that address");
  return parsed;
}

std::string with_host(const std::string& endpoint, const std::string& host) {
  return std::string(scheme) + host + endpoint.substr(endpoint.rfind(':'));
}

}  // namespace zerodb
