#include "node/real_runtime.hpp"

#include <chrono>

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "store/hash.hpp"

namespace zerodb {

namespace {

template <class Clock>
std::uint64_t milliseconds_of() {
  const auto since = Clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<Milliseconds>(since).count());
}

}  // namespace

RealRuntime::RealRuntime(asio::io_context& io, std::size_t threads) : io_(io), pool_(threads) {}

RealRuntime::~RealRuntime() {
  pool_.join();
}

std::uint64_t RealRuntime::now_ms() {
  return milliseconds_of<std::chrono::system_clock>();
}

std::uint64_t RealRuntime::steady_ms() {
  return milliseconds_of<std::chrono::steady_clock>();
}

void RealRuntime::random(MutableBytes out) {
  fill_random(out);
}

Task<void> RealRuntime::sleep(Milliseconds duration) {
  asio::steady_timer timer(io_, duration);
  asio::error_code cancelled;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, cancelled));
}

Task<void> RealRuntime::run_blocking(std::function<void()> work) {
  // The handler resumes this coroutine, so it must go back to the io_context before it runs.
  auto initiate = [this](auto handler, std::function<void()> job) {
    asio::post(pool_, [this, job = std::move(job), guard = asio::make_work_guard(io_),
                       handler = std::move(handler)]() mutable {
      job();
      asio::post(io_, std::move(handler));
    });
  };
  const auto& token = asio::use_awaitable;
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate, token,
                                                                       std::move(work));
}

}  // namespace zerodb
