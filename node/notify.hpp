#pragma once
// Tells a service manager how a daemon fares (the protocol of sd_notify(3)): nothing happens where
// there is none. Thread-safe.

#include <string_view>

namespace zerodb {

/// "READY=1", "STOPPING=1".
void notify_service_manager(std::string_view state);

}  // namespace zerodb
