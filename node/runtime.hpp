#pragma once
// The seam between protocol code and the world: time, randomness, sleeping and work off the
// network thread. Together with Links (bus/links.hpp) and Store (store/store.hpp) it is all that
// gateway, replica and the rest of node/ see, so that a whole mesh can run in one thread, in
// virtual time, from one seed. One thread: all calls are made on the node's executor.

#include <functional>
#include <optional>
#include <utility>

#include <asio/any_io_executor.hpp>
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>

#include "bus/links.hpp"
#include "bus/or_terminate.hpp"
#include "store/clock.hpp"

namespace zerodb {

class Runtime {
 public:
  virtual ~Runtime() = default;

  virtual asio::any_io_executor executor() = 0;

  /// UTC, milliseconds since 1970; may jump.
  virtual std::uint64_t now_ms() = 0;
  /// Milliseconds since some fixed moment; never goes back.
  virtual std::uint64_t steady_ms() = 0;
  /// The same in microseconds, as far as the clock tells them: for measuring.
  virtual std::uint64_t steady_us() { return steady_ms() * 1000; }

  virtual void random(MutableBytes out) = 0;

  virtual Task<void> sleep(Milliseconds duration) = 0;

  /// Runs `work` off the network thread and comes back to it. Use offload().
  virtual Task<void> run_blocking(std::function<void()> work) = 0;
};

/// `auto manifest = co_await offload(runtime, [&] { return store.latest(object); });`
template <class Work>
auto offload(Runtime& runtime, Work work) -> Task<std::invoke_result_t<Work>> {
  std::optional<std::invoke_result_t<Work>> result;
  co_await runtime.run_blocking([&] { result.emplace(work()); });
  co_return std::move(*result);
}

/// Starts a coroutine of its own. Whatever it refers to must outlive the node's executor. An
/// exception that leaves it ends the process: what it was to give back or to wake would wait for
/// ever, and a node that is started again is whole.
template <class Coroutine>
void spawn(Runtime& runtime, Coroutine coroutine) {
  asio::co_spawn(runtime.executor(), std::move(coroutine), or_terminate);
}

}  // namespace zerodb
