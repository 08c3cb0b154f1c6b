#pragma once
// For work that answers with errors, not exceptions: memory may run out anywhere, and whoever asked
// is to hear of it all the same. Where `work` runs.

#include <string>
#include <type_traits>

#include "store/result.hpp"

namespace zerodb {

/// What `work()`, an awaitable of a Result, comes to: if to an exception, `io` with its words.
template <class Work>
std::invoke_result_t<Work&> or_broken_off(Work work) {
  try {
    co_return co_await work();
  } catch (const std::exception& error) {
    co_return fail(Errc::io, std::string("the request broke off: ") + error.what());
  }
}

}  // namespace zerodb
