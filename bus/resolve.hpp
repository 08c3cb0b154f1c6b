#pragma once
// Names of hosts, looked up where that may take long: libzmq would do it on the thread that carries
// every other connection, and again with each try (github.com/zeromq/libzmq/issues/2961).

#include <asio/io_context.hpp>
#include <string>

#include "bus/links.hpp"
#include "store/result.hpp"

namespace zerodb {

/// `endpoint` ("tcp://HOST:PORT") with an address in place of a name; as it is if it has none. Of
/// several addresses the `turn`th, and from the beginning again. `timeout` if nobody knows any.
/// Takes as long as the system's resolver does: tens of seconds if no server answers. Look-ups of a
/// process are made one after the other, on a thread of their own.
Task<Result<std::string>> resolve(asio::io_context& io, std::string endpoint, std::size_t turn);

}  // namespace zerodb
