#include "store/result.hpp"

namespace zerodb {

std::string_view to_string(Errc code) {
  switch (code) {
    case Errc::not_found:
      return "not_found";
    case Errc::corrupt:
      return "corrupt";
    case Errc::denied:
      return "denied";
    case Errc::timeout:
      return "timeout";
    case Errc::no_quorum:
      return "no_quorum";
    case Errc::full:
      return "full";
    case Errc::busy:
      return "busy";
    case Errc::io:
      return "io";
    case Errc::invalid:
      return "invalid";
    case Errc::conflict:
      return "conflict";
  }
  return "unknown";
}

}  // namespace zerodb
