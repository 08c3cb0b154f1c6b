#pragma once
// For asio::co_spawn, in place of asio::detached, which swallows an exception that leaves the
// coroutine: what it was to give back or to wake would then wait for ever, unseen. A process that
// ends is noticed and started again, and its state on disk is whole at any time. Not for the client
// library, which does not end the program that it is a part of.

#include <exception>

namespace zerodb {

struct OrTerminate {
  template <class... Results>
  void operator()(std::exception_ptr failed, Results&&...) const noexcept {
    if (failed) std::rethrow_exception(failed);  // std::terminate() says what it was
  }
};

inline constexpr OrTerminate or_terminate;

}  // namespace zerodb
