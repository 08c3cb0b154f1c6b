#include "node/fan_out.hpp"

#include <catch2/catch.hpp>

#include "store/hash.hpp"
#include "tests/sim/seeded_world.hpp"

using namespace zerodb;

namespace {

Task<int> answer_after(Runtime& runtime, int answer, Milliseconds delay) {
  co_await runtime.sleep(delay);
  co_return answer;
}

Task<std::vector<int>> take_first(Runtime& runtime, std::size_t count, std::vector<int> delays) {
  FanOut<int> round(runtime);
  for (const int delay : delays) {
    round.ask(random_id<NodeId>(), answer_after(runtime, delay, Milliseconds(delay)));
  }
  std::vector<int> taken;
  while (true) {
    while (auto next = round.take())
      taken.push_back(next->second);
    if (taken.size() >= count) co_return taken;
    co_await round.changed();
  }
}

Task<bool> alarm_before_answer(Runtime& runtime, Milliseconds answer, Milliseconds alarm) {
  FanOut<int> round(runtime);
  round.ask(random_id<NodeId>(), answer_after(runtime, 1, answer));
  round.set_alarm(alarm);
  while (!round.alarmed() && !round.all_answered())
    co_await round.changed();
  co_return round.alarmed();
}

}  // namespace

TEST_CASE("fan out: goes on with the first answers and lets the rest end behind", "[gateway]") {
  sim::SeededWorld world;
  sim::SimRuntime runtime(world);
  const auto began = world.now_ms();
  const auto taken = world.run(take_first(runtime, 2, {50, 10'000, 20}));
  CHECK(taken == std::vector{20, 50});
  CHECK(world.now_ms() - began < 1'000);
  world.run_for(std::chrono::seconds(20));
}

TEST_CASE("fan out: the alarm sounds while answers are missing", "[gateway]") {
  sim::SeededWorld world;
  sim::SimRuntime runtime(world);
  CHECK(world.run(alarm_before_answer(runtime, Milliseconds(500), Milliseconds(100))));
  CHECK_FALSE(world.run(alarm_before_answer(runtime, Milliseconds(100), Milliseconds(500))));
}
