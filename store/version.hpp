#pragma once
// The version of this build of zerodb. Any thread.

#include <string_view>

namespace zerodb {

/// "MAJOR.MINOR.PATCH", as the project declares it.
std::string_view version() noexcept;

}  // namespace zerodb
