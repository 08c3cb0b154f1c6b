#include "tests/sim/sim_world.hpp"

#include <sodium.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

namespace zerodb::sim {

namespace {

constexpr std::uint64_t epoch_ms = 1'790'000'000'000;  // some day in 2026

std::uint64_t choose_seed() {
  if (const char* given = std::getenv("SEED"); given != nullptr && *given != '\0') {
    return std::stoull(given);
  }
  return std::random_device{}();
}

// libsodium draws its random bytes from here, so that keys and nonces follow from the seed, too.
std::mt19937_64 sodium_random;

const char* sodium_name() {
  return "simulation";
}
std::uint32_t sodium_u32() {
  return static_cast<std::uint32_t>(sodium_random());
}
void sodium_fill(void* const to, const std::size_t size) {
  auto* bytes = static_cast<std::uint8_t*>(to);
  for (std::size_t i = 0; i < size; i += sizeof(std::uint64_t)) {
    const std::uint64_t word = sodium_random();
    std::memcpy(bytes + i, &word, std::min(size - i, sizeof word));
  }
}
randombytes_implementation sodium_source{.implementation_name = sodium_name,
                                         .random = sodium_u32,
                                         .stir = nullptr,
                                         .uniform = nullptr,
                                         .buf = sodium_fill,
                                         .close = nullptr};

}  // namespace

World::World() : World(choose_seed()) {}

World::World(std::uint64_t seed)
    : seed_(seed),
      seed_message_(Catch::MessageBuilder("INFO", CATCH_INTERNAL_LINEINFO, Catch::ResultWas::Info)
                    << "run again with SEED=" << seed),
      random_(seed) {
  if (sodium_init() < 0) throw std::runtime_error("libsodium does not start");
  sodium_random.seed(seed);
  randombytes_set_implementation(&sodium_source);
}

World::~World() {
  drop_everything();
  randombytes_set_implementation(&randombytes_sysrandom_implementation);
}

std::uint64_t World::random_between(std::uint64_t low, std::uint64_t high) {
  return low + random_() % (high - low + 1);
}

void World::random(MutableBytes out) {
  for (auto& byte : out)
    byte = static_cast<std::uint8_t>(random_());
}

void World::after_us(std::uint64_t us, std::function<void()> event) {
  events_.emplace(now_us_ + us, std::move(event));
}

Task<void> World::sleep_us(std::uint64_t us) {
  auto initiate = [this, us](auto handler) {
    auto kept = std::make_shared<decltype(handler)>(std::move(handler));
    after_us(us, [this, kept] { asio::post(io_, [kept] { std::move (*kept)(); }); });
  };
  return asio::async_initiate<decltype(asio::use_awaitable), void()>(std::move(initiate),
                                                                     asio::use_awaitable);
}

void World::run_ready() {
  io_.restart();
  io_.poll();
}

bool World::step(std::uint64_t deadline_us) {
  if (events_.empty() || events_.begin()->first > deadline_us) return false;
  auto next = events_.extract(events_.begin());
  now_us_ = next.key();
  next.mapped()();
  return true;
}

bool World::run_until(const std::function<bool()>& done, Milliseconds limit) {
  const auto deadline_us = now_us_ + static_cast<std::uint64_t>(limit.count()) * 1000;
  while (true) {
    run_ready();
    if (done()) return true;
    if (!step(deadline_us)) break;
  }
  now_us_ = deadline_us;
  return false;
}

void World::run_for(Milliseconds duration) {
  run_until([] { return false; }, duration);
}

void World::run(Task<void> coroutine, Milliseconds limit) {
  bool ended = false;
  std::exception_ptr thrown;
  asio::co_spawn(io_, std::move(coroutine), [&](std::exception_ptr error) {
    ended = true;
    thrown = std::move(error);
  });
  if (!run_until([&] { return ended; }, limit)) {
    drop_everything();  // the coroutine refers to this frame
    throw std::runtime_error("simulation: not done after " + std::to_string(limit.count()) + " ms");
  }
  if (thrown) std::rethrow_exception(thrown);
}

void World::drop_everything() {
  while (!events_.empty()) {
    auto dropped = std::exchange(events_, {});
    dropped.clear();
    run_ready();
  }
  run_ready();
}

std::uint64_t SimRuntime::now_ms() {
  return static_cast<std::uint64_t>(static_cast<std::int64_t>(epoch_ms + world_.now_ms()) +
                                    clock_skew_ms_);
}

Task<void> SimRuntime::sleep(Milliseconds duration) {
  co_await world_.sleep_us(static_cast<std::uint64_t>(duration.count()) * 1000);
}

Task<void> SimRuntime::run_blocking(std::function<void()> work) {
  co_await world_.sleep_us(world_.random_between(10, 1000));
  work();
  co_await world_.sleep_us(world_.random_between(10, 1000));
}

}  // namespace zerodb::sim
