#pragma once
// A large object on its way in: sealed chunk by chunk on all cores, sent to every placed node at
// once, each at its own pace within a window. One thread: the node's executor.

#include "node/gateway_core.hpp"

namespace zerodb {

Result<std::unique_ptr<PutStream>> open_put_stream(CorePtr core, PutSpec spec);

}  // namespace zerodb
