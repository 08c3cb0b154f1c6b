#include "bus/resolve.hpp"

#include <asio/ip/address.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "store/bytes.hpp"

namespace zerodb {
namespace {

using Tcp = asio::ip::tcp;

constexpr std::string_view tcp_scheme = "tcp://";

/// An IPv6 one is in brackets, and may end in the scope of its link: "[fe80::1%eth0]".
bool is_address(const std::string& host) {
  if (host.starts_with('[')) return true;
  asio::error_code failed;
  asio::ip::make_address_v4(host, failed);
  return !failed;
}

std::string endpoint_at(const asio::ip::address& address, const std::string& port) {
  const auto text = address.to_string();
  return std::string(tcp_scheme) + (address.is_v6() ? "[" + text + "]" : text) + ":" + port;
}

}  // namespace

Task<Result<std::string>> resolve(asio::io_context& io, std::string endpoint, std::size_t turn) {
  const auto colon = endpoint.rfind(':');
  if (!endpoint.starts_with(tcp_scheme) || colon < tcp_scheme.size()) co_return endpoint;
  const auto host = endpoint.substr(tcp_scheme.size(), colon - tcp_scheme.size());
  const auto port = endpoint.substr(colon + 1);
  if (is_address(host)) co_return endpoint;
  Tcp::resolver resolver(io);
  asio::error_code failed;
  const auto found =
      co_await resolver.async_resolve(host, port, Tcp::resolver::numeric_service,
                                      asio::redirect_error(asio::use_awaitable, failed));
  if (failed || found.empty()) {
    co_return fail(Errc::timeout,
                   "the address of " + printable(host) + " cannot be found: " + failed.message());
  }
  const auto chosen = std::next(found.begin(), static_cast<std::ptrdiff_t>(turn % found.size()));
  co_return endpoint_at(chosen->endpoint().address(), port);
}

}  // namespace zerodb
