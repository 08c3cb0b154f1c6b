#pragma once
// The Runtime of a running node: an io_context for protocol code, a pool of threads for disk and
// chunk crypto, the machine's clocks. All calls are made on the io_context's thread.

#include <memory>
#include <set>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <asio/thread_pool.hpp>

#include "node/runtime.hpp"

namespace zerodb {

class RealRuntime : public Runtime {
 public:
  /// `io` outlives the runtime.
  RealRuntime(asio::io_context& io, std::size_t threads);
  /// Waits for the work under way. What it would have resumed stays with the io_context.
  ~RealRuntime() override;

  /// Wakes every sleeper; from now on sleep() returns at once, so that loops see that it is over.
  void stop();
  /// Waits for the work under way; none that follows is done.
  void join() { pool_.join(); }
  /// After that: unwinds the coroutines that wait for work which followed, while all that they
  /// refer to is still there.
  void drop_waiting() { pool_.drop_waiting(); }

  asio::any_io_executor executor() override { return io_.get_executor(); }
  std::uint64_t now_ms() override;
  std::uint64_t steady_ms() override;
  std::uint64_t steady_us() override;
  void random(MutableBytes out) override;
  Task<void> sleep(Milliseconds duration) override;
  Task<void> run_blocking(std::function<void()> work) override;

 private:
  using Sleepers = std::set<asio::steady_timer*>;

  class Pool : public asio::thread_pool {
   public:
    using asio::thread_pool::thread_pool;
    void drop_waiting() { shutdown(); }
  };

  asio::io_context& io_;
  Pool pool_;
  std::shared_ptr<Sleepers> sleepers_ = std::make_shared<Sleepers>();  ///< sleepers may outlive us
  bool stopped_ = false;
};

}  // namespace zerodb
