#pragma once
// Names of hosts, looked up where that may take long: libzmq would do it on the thread that carries
// every other connection, and again with each try (github.com/zeromq/libzmq/issues/2961).

#include <asio/ip/tcp.hpp>

#include "bus/links.hpp"
#include "store/result.hpp"

namespace zerodb {

using Resolver = asio::ip::tcp::resolver;

/// `address` with an IP address in place of each name in its endpoints ("tcp://HOST:PORT"); the
/// rest as it is. Of several addresses of a name the `turn`th, and from the beginning again: the
/// same one in both endpoints. `timeout` if nobody knows any. `resolver` lives until then.
///
/// Takes as long as the system's resolver does: tens of seconds if no server answers. Look-ups of a
/// process are made one after the other, on a thread of their own; `resolver.cancel()` takes those
/// out that have not begun, and the end of the io_context waits for the one that has.
Task<Result<PeerAddress>> resolve(Resolver& resolver, PeerAddress address, std::size_t turn);

}  // namespace zerodb
