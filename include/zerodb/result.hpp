#pragma once
// Errors are values. Every function that can fail for a reason outside our own code returns
// Result<T>; library exceptions stop where the library is wrapped. A Result is a tl::expected,
// which is std::expected for C++20: `if (!result) complain(result.error().what); else
// use(*result);` Thread-safe: plain values.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include <tl/expected.hpp>

#include "zerodb/export.hpp"

namespace zerodb {

/// What a caller can act on. A code exists only if some caller decides by it.
enum class Errc : std::uint8_t {
  not_found = 1,  ///< the object, chunk, node or file does not exist
  corrupt = 2,    ///< bytes fail their checksum, signature or tag, or the disk cannot read them
  denied = 3,     ///< wrong key, not a member, not the owner, or a forbidden operation
  timeout = 4,    ///< no answer within the time allowed
  no_quorum = 5,  ///< too few nodes reachable to promise what was asked
  full = 6,       ///< no space left
  busy = 7,       ///< a limit on work in flight was reached; try again
  io = 8,         ///< the operating system refused to read, write or connect
  invalid = 9,    ///< malformed or out of range: repeating it cannot help
  conflict = 10,  ///< another version stands than the caller expects; nothing was done
};

/// The stable name of a code, as it appears on the wire and in logs, e.g. "not_found".
ZERODB_API std::string_view to_string(Errc code);

struct Error {
  Errc code = Errc::invalid;
  std::string what;  ///< a sentence part for people: what failed, on what, why
};

template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
 public:
  using tl::expected<T, Error>::expected;
};

using Status = Result<void>;

/// `return fail(Errc::corrupt, "manifest: bad signature");`
[[nodiscard]] inline tl::unexpected<Error> fail(Errc code, std::string what) {
  return tl::unexpected<Error>(Error{code, std::move(what)});
}

/// Passes an error on unchanged: `if (!r) return fail(std::move(r.error()));`
[[nodiscard]] inline tl::unexpected<Error> fail(Error error) {
  return tl::unexpected<Error>(std::move(error));
}

/// Passes an error on with what was being done in front: "<doing>: <what>".
[[nodiscard]] inline tl::unexpected<Error> fail(std::string_view doing, Error error) {
  return tl::unexpected<Error>(
      Error{error.code, std::string(doing) + ": " + std::move(error.what)});
}

}  // namespace zerodb
