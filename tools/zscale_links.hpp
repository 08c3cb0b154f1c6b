#pragma once
// What links cost a node in memory: measured with CURVE connections of this process to itself, so
// that each one stands for both of its ends, as every two nodes have lanes in both directions.

#include <cstddef>

#include "store/result.hpp"

namespace zerodb::scale {

/// Resident bytes that one more connection costs, over `connections` of them. Blocks a few
/// seconds; one thread. `io` when sockets cannot be made.
Result<double> measure_connection_bytes(std::size_t connections);

}  // namespace zerodb::scale
