#include "tests/sim/faults/workload.hpp"

#include <fmt/format.h>

namespace zerodb::sim {

/// An operation under way. If its frame is unwound before it ended, the gateway crashed, and what
/// came of it is not known.
class Workload::Attempt {
 public:
  explicit Attempt(Workload& work, WriteNumber write = 0) : work_(work), write_(write) {
    ++work_.under_way_;
  }
  ~Attempt() {
    --work_.under_way_;
    if (write_ != 0) work_.ledger_.end(write_, Outcome::unknown, work_.world_.now_us());
    if (watched_) work_.watch_.end(*watched_);
  }
  Attempt(const Attempt&) = delete;
  Attempt& operator=(const Attempt&) = delete;

  void watch(Machine& at, const std::string& key) {
    watched_ = work_.watch_.begin(at, work_.cluster_.object(key));
  }
  bool had_quorum() { return work_.watch_.end(*std::exchange(watched_, std::nullopt)); }
  WriteNumber end_write() { return std::exchange(write_, 0); }

 private:
  Workload& work_;
  WriteNumber write_;
  std::optional<QuorumWatch::Number> watched_;
};

Workload::Workload(World& world, Cluster& cluster, const Scenario& scenario, Ledger& ledger,
                   Trace& trace, Findings& findings)
    : world_(world),
      cluster_(cluster),
      scenario_(scenario),
      ledger_(ledger),
      trace_(trace),
      findings_(findings),
      watch_(cluster) {
  for (std::size_t i = 1; i <= scenario.keys; ++i)
    keys_.push_back("key" + std::to_string(i));
}

void Workload::start() {
  if (std::exchange(running_, true)) return;
  tick();
}

void Workload::tick() {
  if (!running_) return;
  constexpr std::size_t under_way_max = 64;
  const auto machines = cluster_.running();
  if (!machines.empty() && under_way_ < under_way_max) {
    auto& machine = *machines[world_.random_between(0, machines.size() - 1)];
    if (machine.is_gateway()) begin_one(machine);
  }
  const auto mean_us = static_cast<std::uint64_t>(scenario_.client_pause_mean.count()) * 1000;
  world_.after_us(world_.random_between(0, 2 * mean_us), [this] { tick(); });
}

void Workload::begin_one(Machine& machine) {
  const auto& key = keys_[world_.random_between(0, keys_.size() - 1)];
  auto& io = machine.life().io();
  const auto die = world_.random_between(1, 100);
  if (die <= 45) {
    asio::co_spawn(io, put(*this, machine, draw_put(key), draw_size()), or_terminate);
  } else if (die <= 57) {
    asio::co_spawn(io, remove(*this, machine, key), or_terminate);
  } else if (die <= 96) {
    asio::co_spawn(io, read(*this, machine, key), or_terminate);
  } else {
    asio::co_spawn(io, list(*this, machine), or_terminate);
  }
}

std::size_t Workload::draw_size() {
  const auto die = world_.random_between(1, 100);
  if (scenario_.large && die <= 2) return world_.random_between(1'000'000, 1'500'000);
  if (scenario_.large && die <= 20) return world_.random_between(65'537, 150'000);
  if (die <= 30) return world_.random_between(200, 5'000);
  return world_.random_between(4, 200);
}

PutSpec Workload::draw_put(const std::string& key) {
  PutSpec spec{.name = key};
  if (!scenario_.conditional || !world_.chance(400)) return spec;
  const auto seen = seen_.find(key);
  if (seen == seen_.end())
    spec.condition.absent = true;
  else
    spec.condition.version = seen->second;
  return spec;
}

// ---------------------------------------------------------------------------------------- writes

Task<Result<WriteReceipt>> Workload::put_bytes(Gateway& gateway, PutSpec spec, Bytes content) {
  if (content.size() <= inline_bytes_max) {
    auto plain = Payload::take(std::move(content));
    co_return co_await gateway.put_small(std::move(spec), std::move(plain));
  }
  auto stream = co_await gateway.put(std::move(spec));
  if (!stream) co_return fail(std::move(stream.error()));
  const auto whole = Payload::take(std::move(content));
  for (std::size_t at = 0; at < whole.size(); at += chunk_bytes_max) {
    auto chunk = whole.slice(at, chunk_bytes_max);
    auto taken = co_await (*stream)->write(std::move(chunk));
    if (!taken) co_return fail(std::move(taken.error()));
  }
  co_return co_await (*stream)->finish(whole.size());
}

Task<void> Workload::put(Workload& work, Machine& at, PutSpec spec, std::size_t size) {
  const auto key = spec.name;
  const auto number =
      work.ledger_.begin(key, WriteKind::put, size, work.world_.now_us(), spec.condition.version);
  Attempt attempt(work, number);
  auto content = Ledger::content_of(number, size);
  auto receipt = co_await put_bytes(*at.node().gateway(), std::move(spec), std::move(content));
  work.judge_write(attempt.end_write(), at, receipt);
  if (receipt) work.seen_[key] = receipt->version;
}

/// A deletion that finds nothing has read that there is nothing.
Task<void> Workload::remove(Workload& work, Machine& at, std::string key) {
  const auto floor = work.ledger_.floor(key);
  const auto number =
      work.ledger_.begin(key, WriteKind::remove, 0, work.world_.now_us(), std::nullopt);
  Attempt attempt(work, number);
  attempt.watch(at, key);
  auto receipt = co_await at.node().gateway()->remove(key);
  const bool fresh = attempt.had_quorum();
  work.judge_write(attempt.end_write(), at, receipt);
  if (receipt) work.seen_.erase(key);
  if (receipt || receipt.error().code != Errc::not_found) co_return;
  const Sighting sighting{.by = "a delete at " + at.name(), .version = {}, .content = {}};
  work.findings_.weigh("acknowledged-is-seen", work.ledger_.check(key, floor, sighting, fresh));
}

void Workload::judge_write(WriteNumber number, const Machine& at,
                           const Result<WriteReceipt>& receipt) {
  const auto now = world_.now_us();
  if (receipt) {
    ++counts_.writes;
    findings_.weigh("order-of-writes", ledger_.acknowledge(number, receipt->version, now));
  } else {
    ++counts_.failed;
    const auto code = receipt.error().code;
    const bool refused = code == Errc::conflict || code == Errc::not_found;
    ledger_.end(number, refused ? Outcome::refused : Outcome::unknown, now);
  }
  trace_.say(ledger_.describe(number) + " at " + at.name() +
             (receipt ? "" : ": " + std::string(to_string(receipt.error().code))));
}

// ----------------------------------------------------------------------------------------- reads

void Workload::note_failure(const std::string& what, const Error& error) {
  ++counts_.failed;
  trace_.say(what + ": " + std::string(to_string(error.code)));
  if (strict_) findings_.report("available", what + " fails though all is well: " + error.what);
}

Task<Result<Bytes>> Workload::read_bytes(GetStream& stream) {
  Bytes content;
  while (content.size() < stream.manifest().size) {
    auto part = co_await stream.read(content.size(), chunk_bytes_max);
    if (!part) co_return fail(std::move(part.error()));
    content.insert(content.end(), part->view().begin(), part->view().end());
  }
  co_return content;
}

Task<void> Workload::read(Workload& work, Machine& at, std::string key) {
  const auto floor = work.ledger_.floor(key);
  Attempt attempt(work);
  attempt.watch(at, key);
  Sighting sighting{.by = "a get at " + at.name(), .version = {}, .content = {}};
  auto stream = co_await at.node().gateway()->get(key);
  const bool fresh = attempt.had_quorum();
  if (!stream && stream.error().code != Errc::not_found) {
    work.note_failure(sighting.by + " of '" + key + "'", stream.error());
    co_return;
  }
  if (stream) {
    sighting.version = (*stream)->manifest().version;
    auto content = co_await read_bytes(**stream);
    if (content) {
      work.last_read_[key] = Ledger::number_in(*content);
      sighting.content = std::move(*content);
    } else {
      work.note_failure(sighting.by + " of the bytes of '" + key + "'", content.error());
    }
    work.seen_[key] = *sighting.version;
  } else {
    work.seen_.erase(key);
  }
  ++work.counts_.reads;
  work.counts_.fresh += fresh ? 1 : 0;
  work.trace_.say(fmt::format("get of '{}' at {}: {}{}", key, at.name(),
                              sighting.version ? to_string(*sighting.version) : "none",
                              fresh ? "" : ", without a quorum"));
  work.findings_.weigh("acknowledged-is-seen", work.ledger_.check(key, floor, sighting, fresh));
}

Task<void> Workload::list(Workload& work, Machine& at) {
  std::map<std::string, Floor> floors;
  for (const auto& key : work.keys_)
    floors[key] = work.ledger_.floor(key);
  Attempt attempt(work);
  ListQuery query;
  auto page = co_await at.node().gateway()->list(std::move(query));
  if (!page) {
    work.note_failure("a list at " + at.name(), page.error());
    co_return;
  }
  ++work.counts_.lists;
  std::map<std::string, Version> names;
  for (const auto& entry : page->entries)
    names[entry.name] = entry.version;
  work.trace_.say(fmt::format("list at {}: {} names", at.name(), names.size()));
  work.judge_list(at, floors, names);
}

void Workload::judge_list(const Machine& at, const std::map<std::string, Floor>& floors,
                          const std::map<std::string, Version>& names) {
  for (const auto& [key, floor] : floors) {
    Sighting sighting{.by = "a list at " + at.name(), .version = {}, .content = {}};
    const auto listed = names.find(key);
    if (listed != names.end()) sighting.version = listed->second;
    findings_.weigh("catalogue", ledger_.check(key, floor, sighting, true));
  }
}

void Workload::read_everything() {
  last_read_.clear();
  for (auto* machine : cluster_.running()) {
    if (!machine->is_gateway()) continue;
    auto& io = machine->life().io();
    for (const auto& key : keys_)
      asio::co_spawn(io, read(*this, *machine, key), or_terminate);
    asio::co_spawn(io, list(*this, *machine), or_terminate);
  }
}

}  // namespace zerodb::sim
