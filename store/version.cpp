#include "store/version.hpp"

namespace zerodb {

std::string_view version() noexcept {
  return ZERODB_VERSION;
}

}  // namespace zerodb
