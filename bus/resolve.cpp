#include "bus/resolve.hpp"

#include <asio/ip/address.hpp>
#include <asio/redirect_error.hpp>
#include <asio/system_error.hpp>
#include <asio/use_awaitable.hpp>
#include <set>

namespace zerodb {
namespace {

constexpr std::string_view tcp_scheme = "tcp://";

/// An IPv6 one is in brackets, and may end in the scope of its link: "[fe80::1%eth0]".
bool is_ip_address(const std::string& host) {
  if (host.starts_with('[')) return true;
  asio::error_code failed;
  asio::ip::make_address_v4(host, failed);
  return !failed;
}

/// The host of an endpoint if it has a name that can be looked up; else "".
std::string host_name_in(const std::string& endpoint) {
  const auto colon = endpoint.rfind(':');
  if (!endpoint.starts_with(tcp_scheme) || colon < tcp_scheme.size()) return {};
  auto host = endpoint.substr(tcp_scheme.size(), colon - tcp_scheme.size());
  return is_ip_address(host) ? std::string() : host;
}

void replace_host(std::string& endpoint, const std::string& host, const asio::ip::address& by) {
  if (host_name_in(endpoint) != host) return;
  const auto text = by.to_string();
  endpoint.replace(tcp_scheme.size(), host.size(), by.is_v6() ? "[" + text + "]" : text);
}

Task<Result<asio::ip::address>> look_up(Resolver& resolver, std::string host, std::size_t turn) {
  asio::error_code failed;
  const std::string no_service;
  Resolver::results_type found;
  try {
    found = co_await resolver.async_resolve(host, no_service,
                                            asio::redirect_error(asio::use_awaitable, failed));
  } catch (const asio::system_error& error) {  // no more threads
    failed = error.code();
  }
  if (failed || found.empty()) {
    co_return fail(Errc::timeout,
                   "the address of " + printable(host) + " cannot be found: " + failed.message());
  }
  const auto chosen = std::next(found.begin(), static_cast<std::ptrdiff_t>(turn % found.size()));
  co_return chosen->endpoint().address();
}

}  // namespace

Task<Result<PeerAddress>> resolve(Resolver& resolver, PeerAddress address, std::size_t turn) {
  std::set<std::string> hosts = {host_name_in(address.endpoint),
                                 host_name_in(address.broadcast_endpoint)};
  hosts.erase("");
  for (const auto& host : hosts) {
    const auto found = co_await look_up(resolver, host, turn);
    if (!found) co_return fail(found.error());
    replace_host(address.endpoint, host, *found);
    replace_host(address.broadcast_endpoint, host, *found);
  }
  co_return address;
}

}  // namespace zerodb
