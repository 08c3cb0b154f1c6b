#include "tests/sim/faults/run.hpp"

#include <fmt/format.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include "tests/sim/faults/checker.hpp"
#include "tests/sim/faults/nemesis.hpp"

namespace zerodb::sim {

namespace {

using std::chrono::seconds;

/// What nodes log is shown with the trace.
class TraceSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit TraceSink(Trace& trace) : trace_(trace) {}

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    trace_.comment(std::string(message.payload.data(), message.payload.size()));
  }
  void flush_() override {}

  Trace& trace_;
};

class Run {
 public:
  Run(std::uint64_t seed, RunOptions options)
      : world_(seed),
        scenario_(Scenario::draw(world_)),
        trace_(world_, options.echo),
        cluster_(world_, trace_, scenario_),
        workload_(world_, cluster_, scenario_, ledger_, trace_, findings_),
        nemesis_(world_, cluster_, scenario_, workload_, trace_),
        checker_(cluster_, ledger_) {
    auto logger = std::make_shared<spdlog::logger>("", std::make_shared<TraceSink>(trace_));
    logger->set_level(options.echo ? spdlog::level::info : spdlog::level::off);
    spdlog::set_default_logger(std::move(logger));
    listen();
    trace_.say(scenario_.describe());
  }
  /// Clients are let go before what they work on.
  ~Run() {
    for (auto& machine : cluster_.machines())
      machine.crash();
    world_.drop_everything();
    spdlog::set_default_logger(std::make_shared<spdlog::logger>(""));
  }
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  RunReport run();

 private:
  void listen();
  bool found() const { return findings_.first().has_value(); }
  void drive(Milliseconds duration) {
    world_.run_until([this] { return found(); }, duration);
  }
  void suffer(const Phase& phase);
  void scrub_all();
  void miss_one(Milliseconds absence);
  void converge();
  void check_converged();
  void resolve(const std::string& key);
  void rest(const Phase& phase, bool last);

  World world_;
  Scenario scenario_;
  Trace trace_;
  Cluster cluster_;
  Ledger ledger_;
  Findings findings_;
  Workload workload_;
  Nemesis nemesis_;
  Checker checker_;
};

void Run::listen() {
  auto& network = cluster_.network();
  network.on_arrival = [this](const NodeId& from, const NodeId& to, std::string_view name,
                              std::size_t bytes) {
    trace_.note(name, bytes ^ get_u16(from.view()) << 16 ^ get_u16(to.view()));
    nemesis_.on_arrival(to, name);
  };
  network.on_outcome = [this](const NodeId& asker, const NodeId& asked,
                              const peer::Request& request, const Result<PeerAnswer>& answer) {
    workload_.watch().on_outcome(asker, asked, request, answer);
  };
  network.on_answer = [this](const NodeId& replier, const peer::Request& request,
                             Result<PeerAnswer>& answer) {
    nemesis_.on_answer(replier, request, answer);
  };
  network.on_link_down = [this](const NodeId& at, const NodeId& node) {
    workload_.watch().on_link_down(at, node);
  };
}

RunReport Run::run() {
  drive(seconds(10));  // links come up
  for (std::size_t i = 0; i < scenario_.phases.size() && !found(); ++i) {
    const auto& phase = scenario_.phases[i];
    suffer(phase);
    if (!found()) converge();
    if (!found()) check_converged();
    if (!found() && phase.absence.count() > 0) miss_one(phase.absence);
    if (!found()) rest(phase, i + 1 == scenario_.phases.size());
  }
  RunReport report{.seed = world_.seed(),
                   .scenario = scenario_.describe(),
                   .finding = findings_.first(),
                   .last_lines = {},
                   .trace_hash = trace_.hash(),
                   .virtual_ms = world_.now_ms(),
                   .counts = workload_.counts(),
                   .faults = trace_.faults()};
  if (found()) report.last_lines.assign(trace_.last_lines().begin(), trace_.last_lines().end());
  return report;
}

void Run::suffer(const Phase& phase) {
  nemesis_.begin();
  workload_.start();
  constexpr int looks = 10;
  for (int i = 0; i < looks && !found(); ++i) {
    drive(phase.faults / looks);
    findings_.weigh("bounds", checker_.check_bounds());
  }
  workload_.stop();
  nemesis_.end();
  trace_.say("no faults from now on");
  scrub_all();
}

/// As an operator does after trouble with disks: zdb scrub --now.
void Run::scrub_all() {
  for (auto* machine : cluster_.running()) {
    auto scrub = [](Node& node) -> Task<void> {
      client::Scrub request{.start = true, .wait = false};
      client::Request any(std::move(request));
      ClientIdentity identity{};
      std::ignore = co_await node.on_client_request(1, identity, std::move(any), Payload());
    };
    asio::co_spawn(machine->life().io(), scrub(machine->node()), or_terminate);
  }
}

/// Clients write and delete while one member is off, which returns long after.
void Run::miss_one(Milliseconds absence) {
  auto* machine = nemesis_.send_away();
  if (machine == nullptr) return;
  workload_.start();
  drive(seconds(30));
  workload_.stop();
  drive(absence);
  machine->start();
  if (!found()) converge();
  if (!found()) check_converged();
}

void Run::converge() {
  constexpr auto look_every = seconds(5);
  const auto until_ms =
      world_.now_ms() + static_cast<std::uint64_t>(scenario_.convergence_bound().count());
  Complaint missing = "it was never looked at";
  while (missing && world_.now_ms() < until_ms && !found()) {
    drive(look_every);
    missing = checker_.not_converged();
    if (!missing && workload_.under_way() > 0) missing = "an operation of a client does not end";
    // It may carry a write that nobody has yet.
    if (!missing && cluster_.network().is_one_late()) missing = "a message is on its way";
  }
  if (!missing) return;
  const auto minutes = scenario_.convergence_bound().count() / 60'000;
  findings_.report("convergence",
                   fmt::format("{} minutes after the last fault {}", minutes, *missing));
}

void Run::check_converged() {
  trace_.say("converged");
  cluster_.mark_converged();
  for (const auto& [key, writes] : ledger_.keys())
    findings_.weigh("durability", checker_.check_standing(key));
  workload_.set_strict(true);
  workload_.read_everything();
  world_.run_until([this] { return found() || workload_.under_way() == 0; }, std::chrono::hours(1));
  workload_.set_strict(false);
  if (workload_.under_way() > 0) findings_.report("available", "a get does not end");
  for (const auto& [key, writes] : ledger_.keys())
    resolve(key);
}

/// From now on what does not stand must never appear.
void Run::resolve(const std::string& key) {
  const auto latest = checker_.latest(key);
  if (!latest) {
    ledger_.converged(key, std::nullopt);
    return;
  }
  const auto author = latest->is_tombstone ? 0 : workload_.last_read(key);
  if (!latest->is_tombstone && author == 0) return;  // no gateway is left that could have read it
  ledger_.converged(key, Standing{.version = latest->version, .write = author});
}

void Run::rest(const Phase& phase, bool last) {
  drive(phase.rest);
  if (checker_.not_converged()) drive(seconds(10));  // a periodic round was just under way
  trace_.say("rested");
  if (auto wrong = checker_.not_converged()) {
    findings_.report("convergence", "after a time of rest " + *wrong);
  }
  findings_.weigh("bounds", checker_.check_idle());
  if (last) findings_.weigh("forgetting", checker_.check_forgotten());
}

}  // namespace

RunReport run_seed(std::uint64_t seed, RunOptions options) {
  return Run(seed, options).run();
}

}  // namespace zerodb::sim
