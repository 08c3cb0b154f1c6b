#pragma once
// An object being read: chunks from the own store or from other holders, opened, read ahead, and
// kept for a while. One thread: the node's executor.

#include "node/locate.hpp"

namespace zerodb {

/// `located` is not a tombstone; `part` holds its content key.
std::unique_ptr<GetStream> open_get_stream(CorePtr core, Located located, PrivatePart part);

}  // namespace zerodb
