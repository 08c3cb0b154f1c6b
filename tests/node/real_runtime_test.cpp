#include "node/real_runtime.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <thread>

#include "tests/node/rosters.hpp"

using namespace zerodb;

namespace {

struct Seen {
  std::thread::id before, during, after;
  int result = 0;
};

Task<void> work_elsewhere(Runtime& runtime, Seen& seen) {
  seen.before = std::this_thread::get_id();
  const auto work = [&seen] {
    seen.during = std::this_thread::get_id();
    return 42;
  };
  seen.result = co_await offload(runtime, work);
  seen.after = std::this_thread::get_id();
}

Task<void> count_after(Runtime& runtime, Milliseconds pause, std::atomic<int>& count) {
  co_await runtime.sleep(pause);
  co_await runtime.run_blocking([&count] { ++count; });
}

struct Work {
  std::atomic<int> begun = 0, ended = 0;
};

Task<void> work_for_long(Runtime& runtime, Work& work) {
  co_await runtime.run_blocking([&work] {
    ++work.begun;
    for (int i = 0; i < 10'000; ++i)
      std::this_thread::yield();
    ++work.ended;
  });
}

struct Unwound {
  ~Unwound() { *done = true; }
  bool* done;
};

Task<void> ask_for_work(Runtime& runtime, bool& done) {
  const Unwound when{&done};
  co_await runtime.run_blocking([] {});
}

}  // namespace

TEST_CASE("real_runtime: who asks for work after its end is unwound in time", "[node]") {
  bool done = false;
  asio::io_context io;
  RealRuntime runtime(io, 1);
  runtime.join();
  spawn(runtime, ask_for_work(runtime, done));
  io.poll();
  CHECK_FALSE(done);
  runtime.drop_waiting();
  io.restart();
  io.poll();
  CHECK(done);
}

TEST_CASE("real_runtime: work runs on another thread and its result comes back to ours", "[node]") {
  asio::io_context io;
  RealRuntime runtime(io, 2);
  Seen seen;
  spawn(runtime, work_elsewhere(runtime, seen));
  io.run();
  CHECK(seen.result == 42);
  CHECK(seen.before == std::this_thread::get_id());
  CHECK(seen.after == std::this_thread::get_id());
  CHECK(seen.during != std::this_thread::get_id());
}

TEST_CASE("real_runtime: many sleeps and pieces of work at once all end", "[node]") {
  asio::io_context io;
  RealRuntime runtime(io, 3);
  std::atomic<int> count = 0;
  for (int i = 0; i < 500; ++i)
    spawn(runtime, count_after(runtime, Milliseconds(i % 7), count));
  io.run();
  CHECK(count == 500);
}

TEST_CASE("real_runtime: stopped, it wakes those who sleep and lets nobody sleep again", "[node]") {
  asio::io_context io;
  RealRuntime runtime(io, 1);
  std::atomic<int> count = 0;
  spawn(runtime, count_after(runtime, std::chrono::hours(1), count));
  io.poll();
  CHECK(count == 0);
  runtime.stop();
  spawn(runtime, count_after(runtime, std::chrono::hours(1), count));
  io.run();
  CHECK(count == 2);
}

TEST_CASE("real_runtime: dropped with work under way, it waits for the work alone", "[node]") {
  asio::io_context io;
  Work work;
  {
    RealRuntime runtime(io, 2);
    for (int i = 0; i < 20; ++i)
      spawn(runtime, work_for_long(runtime, work));
    while (work.begun == 0)
      io.poll();
  }
  CHECK(work.ended == work.begun);
}

TEST_CASE("real_runtime: clocks and randomness are the machine's", "[node]") {
  asio::io_context io;
  RealRuntime runtime(io, 1);
  CHECK(runtime.now_ms() > 1'600'000'000'000);
  const auto steady = runtime.steady_ms();
  CHECK(runtime.steady_ms() >= steady);
  std::array<std::uint8_t, 32> one{};
  std::array<std::uint8_t, 32> other{};
  runtime.random(one);
  runtime.random(other);
  CHECK(one != other);
}
