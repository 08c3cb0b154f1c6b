#pragma once
// Virtual time and seeded randomness for a whole mesh in one thread. Nothing here waits: when no
// coroutine can go on, the clock jumps to the next event. A run is decided by its seed. One world
// at a time in a process, as it also takes libsodium's randomness over; one thread.

#include <asio/async_result.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <stdexcept>

#include "node/runtime.hpp"

namespace zerodb::sim {

class World;

/// What a process is to the simulation: its coroutines, and all that they wait for. It can end at
/// any moment that is between two of its steps, as by a power cut.
class Life {
 public:
  explicit Life(World& world) : world_(world) {}
  ~Life() { end(); }
  Life(const Life&) = delete;
  Life& operator=(const Life&) = delete;

  World& world() { return world_; }
  /// For what is to run in this life, from now on.
  asio::io_context& io();

  /// Runs `event` when the virtual clock is `us` further, unless this life has ended by then.
  void after_us(std::uint64_t us, std::function<void()> event);
  Task<void> sleep_us(std::uint64_t us);

  /// Unwinds every coroutine where it stands. Not to be called by one of them.
  void end();

 private:
  friend class World;
  /// An io_context whose waiting coroutines can be dropped before the context itself is.
  class Io : public asio::io_context {
   public:
    Io() : asio::io_context(1) {}
    void drop_waiting() { shutdown(); }
  };

  World& world_;
  Io io_;
  bool touched_ = false;  ///< something may be ready to run
  bool ended_ = false;
};

class World {
 public:
  explicit World(std::uint64_t seed);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  std::uint64_t seed() const { return seed_; }
  /// The life of what is no process of its own: the network, tests.
  Life& outside() { return outside_; }
  asio::io_context& io() { return outside_.io(); }

  std::uint64_t now_us() const { return now_us_; }
  std::uint64_t now_ms() const { return now_us_ / 1000; }

  /// Uniform in [low, high].
  std::uint64_t random_between(std::uint64_t low, std::uint64_t high);
  /// True with probability `per_mille` / 1000.
  bool chance(unsigned per_mille) { return random_between(1, 1000) <= per_mille; }
  void random(MutableBytes out);

  void after_us(std::uint64_t us, std::function<void()> event) {
    outside_.after_us(us, std::move(event));
  }
  Task<void> sleep_us(std::uint64_t us) { return outside_.sleep_us(us); }

  /// Runs until `done()` or until `limit` of virtual time has passed; answers done().
  bool run_until(const std::function<bool()>& done, Milliseconds limit);
  /// Lets `duration` of virtual time pass.
  void run_for(Milliseconds duration);

  /// Runs `coroutine` to its end, and everything else meanwhile; throws if it takes longer than
  /// `limit` of virtual time.
  template <class T>
  T run(Task<T> coroutine, Milliseconds limit = std::chrono::minutes(30));
  void run(Task<void> coroutine, Milliseconds limit = std::chrono::minutes(30));

  /// Drops every pending event and unwinds the coroutines that waited for one.
  void drop_everything();

 private:
  friend class Life;
  struct Event {
    Life* life = nullptr;  ///< runs it
    std::function<void()> run;
  };

  template <class T>
  static Task<void> keep_result(Task<T> coroutine, std::optional<T>& result) {
    result.emplace(co_await std::move(coroutine));
  }
  void touch(Life& life);
  void forget(const Life& life);
  void run_ready();
  /// Moves the clock to the next event and runs it; false if there is none by `deadline_us`.
  bool step(std::uint64_t deadline_us);

  std::uint64_t seed_;
  std::mt19937_64 random_;
  std::uint64_t now_us_ = 1'000'000;
  std::multimap<std::uint64_t, Event> events_;  ///< by time, then in the order they were made
  std::deque<Life*> touched_;
  Life outside_{*this};
};

template <class T>
T World::run(Task<T> coroutine, Milliseconds limit) {
  std::optional<T> result;
  run(keep_result(std::move(coroutine), result), limit);
  return std::move(*result);
}

/// One node's view of the world: its clock may be wrong.
class SimRuntime : public Runtime {
 public:
  explicit SimRuntime(Life& life, std::int64_t clock_skew_ms = 0)
      : life_(life), clock_skew_ms_(clock_skew_ms) {}
  explicit SimRuntime(World& world, std::int64_t clock_skew_ms = 0)
      : SimRuntime(world.outside(), clock_skew_ms) {}

  asio::any_io_executor executor() override { return life_.io().get_executor(); }
  std::uint64_t now_ms() override;
  std::uint64_t steady_ms() override { return life_.world().now_ms(); }
  void random(MutableBytes out) override { life_.world().random(out); }
  Task<void> sleep(Milliseconds duration) override;
  /// Runs `work` inline, between two short delays.
  Task<void> run_blocking(std::function<void()> work) override;

  void set_clock_skew(std::int64_t ms) { clock_skew_ms_ = ms; }

 private:
  Life& life_;
  std::int64_t clock_skew_ms_;
};

}  // namespace zerodb::sim
