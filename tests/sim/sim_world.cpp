#include "tests/sim/sim_world.hpp"

#include <sodium.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace zerodb::sim {

namespace {

constexpr std::uint64_t epoch_ms = 1'790'000'000'000;  // some day in 2026

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

// ---------------------------------------------------------------------------------------- a life

asio::io_context& Life::io() {
  world_.touch(*this);
  return io_;
}

void Life::after_us(std::uint64_t us, std::function<void()> event) {
  if (ended_) return;
  world_.events_.emplace(world_.now_us_ + us, World::Event{this, std::move(event)});
}

Task<void> Life::sleep_us(std::uint64_t us) {
  auto initiate = [this, us](auto handler) {
    auto kept = std::make_shared<decltype(handler)>(std::move(handler));
    after_us(us, [this, kept] { asio::post(io_, [kept] { std::move (*kept)(); }); });
  };
  return asio::async_initiate<decltype(asio::use_awaitable), void()>(std::move(initiate),
                                                                     asio::use_awaitable);
}

void Life::end() {
  if (std::exchange(ended_, true)) return;
  world_.forget(*this);
  io_.drop_waiting();
}

// ------------------------------------------------------------------------------------- the world

World::World(std::uint64_t seed) : seed_(seed), random_(seed) {
  if (sodium_init() < 0) throw std::runtime_error("libsodium does not start");
  sodium_random.seed(seed);
  randombytes_set_implementation(&sodium_source);
}

World::~World() {
  drop_everything();
  outside_.end();
  randombytes_set_implementation(&randombytes_sysrandom_implementation);
}

std::uint64_t World::random_between(std::uint64_t low, std::uint64_t high) {
  return low + random_() % (high - low + 1);
}

void World::random(MutableBytes out) {
  for (auto& byte : out)
    byte = static_cast<std::uint8_t>(random_());
}

void World::touch(Life& life) {
  if (life.ended_ || std::exchange(life.touched_, true)) return;
  touched_.push_back(&life);
}

/// What waits for an event is unwound as the events go, which may take more of them along.
void World::forget(const Life& life) {
  std::erase(touched_, &life);
  std::vector<Event> dropped;
  for (auto at = events_.begin(); at != events_.end();) {
    if (at->second.life != &life) {
      ++at;
      continue;
    }
    dropped.push_back(std::move(at->second));
    at = events_.erase(at);
  }
}

void World::run_ready() {
  while (!touched_.empty()) {
    auto& life = *touched_.front();
    life.io_.restart();
    life.io_.poll();
    touched_.pop_front();
    life.touched_ = false;
  }
}

bool World::step(std::uint64_t deadline_us) {
  if (events_.empty() || events_.begin()->first > deadline_us) return false;
  auto next = events_.extract(events_.begin());
  now_us_ = next.key();
  touch(*next.mapped().life);
  next.mapped().run();
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
  asio::co_spawn(io(), std::move(coroutine), [&](std::exception_ptr error) {
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
    touch(outside_);
    run_ready();
  }
  touch(outside_);
  run_ready();
}

// --------------------------------------------------------------------------------------- runtime

std::uint64_t SimRuntime::now_ms() {
  const auto right = static_cast<std::int64_t>(epoch_ms + life_.world().now_ms());
  return static_cast<std::uint64_t>(right + clock_skew_ms_);
}

Task<void> SimRuntime::sleep(Milliseconds duration) {
  co_await life_.sleep_us(static_cast<std::uint64_t>(duration.count()) * 1000);
}

Task<void> SimRuntime::run_blocking(std::function<void()> work) {
  co_await life_.sleep_us(life_.world().random_between(10, 1000));
  work();
  co_await life_.sleep_us(life_.world().random_between(10, 1000));
}

}  // namespace zerodb::sim
