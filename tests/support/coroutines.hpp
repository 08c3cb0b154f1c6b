#pragma once
// Coroutines in tests: run in the test's thread until something is so, or fail.

#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <catch2/catch.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>

namespace zerodb::test {

inline constexpr std::chrono::seconds patience{20};

/// Runs `io` until `done()`; the test fails if that takes too long.
template <class Done>
void run_until(asio::io_context& io, Done done, std::chrono::seconds limit = patience) {
  const auto work = asio::make_work_guard(io);
  const auto deadline = std::chrono::steady_clock::now() + limit;
  while (!done()) {
    if (std::chrono::steady_clock::now() > deadline) FAIL("what was waited for did not happen");
    if (io.stopped()) io.restart();
    io.run_one_for(std::chrono::milliseconds(20));
  }
}

/// Runs `io` until `task` is done, and answers what it did.
template <class T>
T run(asio::io_context& io, asio::awaitable<T> task) {
  std::optional<T> result;
  std::exception_ptr thrown;
  bool done = false;
  asio::co_spawn(io, std::move(task), [&](std::exception_ptr error, T value) {
    thrown = error;
    if (!error) result.emplace(std::move(value));
    done = true;
  });
  run_until(io, [&] { return done; });
  if (thrown) std::rethrow_exception(thrown);
  return std::move(*result);
}

}  // namespace zerodb::test
