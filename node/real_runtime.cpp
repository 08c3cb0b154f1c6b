#include "node/real_runtime.hpp"

#include <chrono>

#include <asio/executor_work_guard.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "store/hash.hpp"

namespace zerodb {

namespace {

template <class Clock>
std::uint64_t milliseconds_of() {
  const auto since = Clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<Milliseconds>(since).count());
}

/// In the set for as long as it lives, however its coroutine ends.
class Sleeper {
 public:
  Sleeper(std::shared_ptr<std::set<asio::steady_timer*>> all, asio::steady_timer& timer)
      : all_(std::move(all)), timer_(timer) {
    all_->insert(&timer_);
  }
  ~Sleeper() { all_->erase(&timer_); }
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

 private:
  std::shared_ptr<std::set<asio::steady_timer*>> all_;
  asio::steady_timer& timer_;
};

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

std::uint64_t RealRuntime::steady_us() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(since).count());
}

void RealRuntime::random(MutableBytes out) {
  fill_random(out);
}

void RealRuntime::stop() {
  stopped_ = true;
  for (auto* sleeper : *sleepers_)
    sleeper->cancel();
}

Task<void> RealRuntime::sleep(Milliseconds duration) {
  constexpr Milliseconds most = std::chrono::hours(24 * 365);  // more would not fit a timer
  asio::steady_timer timer(io_, stopped_ ? Milliseconds(0) : std::min(duration, most));
  const Sleeper listed(sleepers_, timer);
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
