#pragma once
// What a coroutine waits on until another one changes something. A waiter checks its condition
// again after each wait. Waiters belong to the executor, not to this, so that they are unwound
// with it. One thread: the node's executor.

#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "node/runtime.hpp"

namespace zerodb {

class Wakeup {
 public:
  explicit Wakeup(Runtime& runtime)
      : timer_(runtime.executor(), asio::steady_timer::time_point::max()) {}

  /// Until the next notify(). `while (!condition) co_await wakeup.wait();`
  Task<void> wait() {
    asio::error_code cancelled;  // how a timer that never ends is ended
    co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
  }

  /// Lets all who wait go on, in the order they came, after the caller has suspended.
  void notify() { timer_.cancel(); }

 private:
  asio::steady_timer timer_;
};

}  // namespace zerodb
