// zsim: the node's own code through seeded faults, many seeds at once, in virtual time. See
// README.md beside this file.

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <numeric>
#include <thread>

#include "tests/sim/faults/run.hpp"
#include "tests/sim/faults/seed_pool.hpp"
#include "tests/sim/faults/totals.hpp"

namespace {

using namespace zerodb::sim;

#ifdef __SANITIZE_THREAD__
constexpr unsigned seconds_max = 900;  ///< of a processor, for one seed
#else
constexpr unsigned seconds_max = 120;  ///< of a processor, for one seed
#endif

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Every failed seed with how to replay it, then one line of sums.
int run_many(std::uint64_t first, std::uint64_t count, unsigned processes) {
  std::vector<std::uint64_t> seeds(count);
  std::iota(seeds.begin(), seeds.end(), first);
  const auto start = std::chrono::steady_clock::now();
  Totals totals;
  const auto work = [](std::uint64_t seed) { return to_text(run_seed(seed, {})); };
  run_in_processes(seeds, processes, seconds_max, work, [&](const SeedResult& result) {
    auto failure = totals.add(result.output);
    if (!result.death.empty()) failure += result.death + "\n";
    if (failure.empty()) return;
    totals.add_failure();
    std::printf("SEED=%llu %s  again: make sim SEED=%llu\n",
                static_cast<unsigned long long>(result.seed), failure.c_str(),
                static_cast<unsigned long long>(result.seed));
    std::fflush(stdout);
  });
  std::puts(totals.summary(seconds_since(start)).c_str());
  return totals.failed() == 0 ? 0 : 1;
}

/// One seed, with its trace.
int replay(std::uint64_t seed) {
  const auto report = run_seed(seed, {.echo = true});
  if (report.finding) {
    std::printf("check '%s' failed: %s\n", report.finding->check.c_str(),
                report.finding->sentence.c_str());
  }
  std::printf("SEED=%llu trace hash %016llx\n", static_cast<unsigned long long>(seed),
              static_cast<unsigned long long>(report.trace_hash));
  return report.finding ? 1 : 0;
}

/// Each seed twice: 1 if any two runs of one seed differ.
int compare(std::uint64_t first, std::uint64_t count, unsigned processes) {
  std::vector<std::uint64_t> seeds;
  for (auto seed = first; seed < first + count; ++seed)
    seeds.insert(seeds.end(), 2, seed);
  std::map<std::uint64_t, std::string> hashes;
  int differ = 0;
  const auto work = [](std::uint64_t seed) {
    return std::to_string(run_seed(seed, {}).trace_hash);
  };
  run_in_processes(seeds, processes, seconds_max, work, [&](const SeedResult& result) {
    const auto hash = result.output + result.death;
    const auto [known, is_first] = hashes.try_emplace(result.seed, hash);
    const bool same = known->second == hash && result.death.empty();
    if (!same) differ = 1;
    if (is_first && same) return;
    std::printf("SEED=%llu %s: %s\n", static_cast<unsigned long long>(result.seed),
                same ? "ran the same twice" : "ran in two ways", hash.c_str());
  });
  return differ;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs the node's code through seeded faults, in virtual time.");
  std::uint64_t seeds = 200;
  std::uint64_t start = 1;
  std::optional<std::uint64_t> seed;
  unsigned processes = std::max(1U, std::thread::hardware_concurrency());
  bool twice = false;
  app.add_option("--seeds", seeds, "how many")->capture_default_str();
  app.add_option("--start", start, "the first of them")->capture_default_str();
  app.add_option("--seed", seed, "replay this one alone, with its trace");
  app.add_option("-j,--jobs", processes, "processes at a time")->check(CLI::PositiveNumber);
  app.add_flag("--twice", twice, "run each seed twice and compare the traces");
  CLI11_PARSE(app, argc, argv);
  if (seed) return replay(*seed);
  return twice ? compare(start, seeds, processes) : run_many(start, seeds, processes);
}
