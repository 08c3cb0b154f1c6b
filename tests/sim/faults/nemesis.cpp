#include "tests/sim/faults/nemesis.hpp"

#include <fmt/format.h>

namespace zerodb::sim {

namespace {

using std::chrono::minutes;
using std::chrono::seconds;

constexpr std::size_t machines_max = 12;  ///< that ever were
constexpr std::size_t members_max_here = 9;

std::uint64_t us(Milliseconds duration) {
  return static_cast<std::uint64_t>(duration.count()) * 1000;
}

}  // namespace

Nemesis::Nemesis(World& world, Cluster& cluster, const Scenario& scenario, Workload& workload,
                 Trace& trace)
    : world_(world), cluster_(cluster), scenario_(scenario), workload_(workload), trace_(trace) {
  const auto& plan = scenario.faults;
  const auto add = [this](bool wanted, std::initializer_list<Fault> faults) {
    if (wanted) faults_.insert(faults_.end(), faults);
  };
  add(true, {&Nemesis::change_weather});
  add(plan.crashes, {&Nemesis::crash, &Nemesis::crash_at_next_commit});
  add(plan.cuts, {&Nemesis::cut_one, &Nemesis::cut_one_way, &Nemesis::split});
  add(plan.bad_disks, {&Nemesis::fail_disk, &Nemesis::fill_disk});
  add(plan.lost_disks, {&Nemesis::lose_disk, &Nemesis::flip_bit});
  add(plan.clocks, {&Nemesis::set_clock});
  add(plan.membership, {&Nemesis::join, &Nemesis::drain, &Nemesis::undrain,
                        &Nemesis::remove_drained, &Nemesis::change_member});
  add(plan.membership && plan.lost_disks, {&Nemesis::remove_for_good});
}

void Nemesis::begin() {
  ++round_;
  active_ = true;
  victim_.reset();
  for (auto& machine : cluster_.machines())
    machine.set_clock_skew(draw_skew(1'000));
  if (scenario_.faults.liar) {
    liar_ = pick_running()->id();
    if (only_the_liar_stays()) liar_.reset();
  }
  if (liar_) {
    victim_ = liar_;  // a second one could hold the only other copy
    workload_.watch().liar = liar_;
    trace_.fault("liar", cluster_.name_of(*liar_));
  }
  change_weather();
  tick();
}

void Nemesis::end() {
  ++round_;
  active_ = false;
  liar_.reset();
  ambushed_.reset();
  wrong_clocks_.clear();
  workload_.watch().liar.reset();
  cluster_.network().options() = {};
  cluster_.network().heal_all();
  for (auto& machine : cluster_.machines()) {
    machine.store.fail_writes(std::nullopt);
    machine.set_clock_skew(draw_skew(1'000));
    if (!cluster_.is_heard(machine) && !cluster_.is_member(machine)) {
      machine.crash();
    } else if (!machine.is_running()) {
      machine.start();
    }
  }
}

Machine* Nemesis::send_away() {
  auto* machine = pick_running();
  if (machine == nullptr) return nullptr;
  trace_.fault("away", machine->name());
  machine->crash();
  return machine;
}

void Nemesis::tick() {
  if (!active_) return;
  const auto fault = faults_[world_.random_between(0, faults_.size() - 1)];
  (this->*fault)();
  later(Milliseconds(0), 2 * scenario_.faults.pause_mean, [this] { tick(); });
}

void Nemesis::later(Milliseconds low, Milliseconds high, std::function<void()> action) {
  const auto round = round_;
  world_.after_us(world_.random_between(us(low), us(high)),
                  [this, round, action = std::move(action)] {
                    if (round == round_) action();
                  });
}

Machine* Nemesis::pick_running() {
  const auto running = cluster_.running();
  return running.empty() ? nullptr : running[world_.random_between(0, running.size() - 1)];
}

Machine* Nemesis::victim() {
  if (cluster_.losses_allowed() == 0) return nullptr;
  if (!victim_) {
    const auto* picked = pick_running();
    if (picked == nullptr) return nullptr;
    victim_ = picked->id();
  }
  auto* machine = cluster_.find(*victim_);
  return cluster_.is_member(*machine) ? machine : nullptr;
}

// --------------------------------------------------------------------------------------- crashes

void Nemesis::restart_later(Machine& machine, Milliseconds high) {
  later(Milliseconds(0), high, [&machine] {
    if (!machine.is_running()) machine.start();
  });
}

void Nemesis::crash() {
  auto* machine = pick_running();
  if (machine == nullptr) return;
  trace_.fault("crash", machine->name());
  machine->crash();
  restart_later(*machine, world_.chance(500) ? seconds(2) : minutes(2));
}

void Nemesis::crash_at_next_commit() {
  const auto* machine = pick_running();
  if (machine != nullptr) ambushed_ = machine->id();
}

void Nemesis::on_arrival(const NodeId& to, std::string_view name) {
  constexpr std::uint64_t within_us = 3'000;
  if (ambushed_ != to) return;
  if (name != peer::PutInline::name && name != peer::PutCommit::name) return;
  auto* machine = cluster_.find(*std::exchange(ambushed_, std::nullopt));
  const auto round = round_;
  world_.after_us(world_.random_between(0, within_us), [this, machine, round] {
    if (round != round_ || !machine->is_running()) return;
    trace_.fault("crash", machine->name() + " at a commit");
    machine->crash();
    restart_later(*machine, seconds(20));
  });
}

// --------------------------------------------------------------------------------------- network

void Nemesis::cut_one() {
  const auto *a = pick_running(), *b = pick_running();
  if (a == nullptr || a == b) return;
  trace_.fault("cut", a->name() + " from " + b->name());
  cluster_.network().cut(a->id(), b->id());
  later(seconds(1), minutes(2), [this, a, b] { cluster_.network().heal(a->id(), b->id()); });
}

void Nemesis::cut_one_way() {
  const auto *a = pick_running(), *b = pick_running();
  if (a == nullptr || a == b) return;
  trace_.fault("cut one way", "from " + a->name() + " to " + b->name());
  cluster_.network().cut_one_way(a->id(), b->id());
  later(seconds(1), minutes(2), [this, a, b] { cluster_.network().heal(a->id(), b->id()); });
}

void Nemesis::split() {
  std::vector<NodeId> sides[2];
  std::string text;
  for (const auto* machine : cluster_.running()) {
    const auto side = world_.random_between(0, 1);
    sides[side].push_back(machine->id());
    if (side == 0) text += machine->name() + " ";
  }
  trace_.fault("split", text + "from the others");
  const auto each_pair = [this, left = sides[0], right = sides[1]](auto action) {
    for (const auto& a : left) {
      for (const auto& b : right)
        (cluster_.network().*action)(a, b);
    }
  };
  each_pair(&SimNetwork::cut);
  later(seconds(1), minutes(2), [each_pair] { each_pair(&SimNetwork::heal); });
}

/// Anything from calm to as bad as it gets.
void Nemesis::change_weather() {
  const auto& worst = scenario_.faults.network;
  auto& now = cluster_.network().options();
  const auto up_to = [this](unsigned most) {
    return static_cast<unsigned>(world_.random_between(0, most));
  };
  now.delay_max_us = worst.delay_max_us;
  now.drop_per_mille = up_to(worst.drop_per_mille);
  now.broadcast_drop_per_mille = up_to(worst.broadcast_drop_per_mille);
  now.double_per_mille = up_to(worst.double_per_mille);
  now.late_per_mille = up_to(worst.late_per_mille);
  now.late_max_us = worst.late_max_us;
  trace_.fault("weather", fmt::format("loss {} per mille, late {}, doubled {}", now.drop_per_mille,
                                      now.late_per_mille, now.double_per_mille));
}

// ----------------------------------------------------------------------------------------- disks

void Nemesis::fail_disk() {
  auto* machine = pick_running();
  if (machine == nullptr) return;
  trace_.fault("failing disk", machine->name());
  machine->store.fail_writes(Error{Errc::io, "the disk fails"});
  later(seconds(1), minutes(1), [machine] { machine->store.fail_writes(std::nullopt); });
}

void Nemesis::fill_disk() {
  auto* machine = pick_running();
  if (machine == nullptr) return;
  trace_.fault("full disk", machine->name());
  machine->store.fail_writes(Error{Errc::full, "the disk is full"});
  later(seconds(1), minutes(1), [machine] { machine->store.fail_writes(std::nullopt); });
}

void Nemesis::flip_bit() {
  auto* machine = victim();
  if (machine == nullptr) return;
  const auto& keys = workload_.keys();
  const auto& key = keys[world_.random_between(0, keys.size() - 1)];
  const auto latest = machine->store.latest(cluster_.object(key));
  if (!*latest || (**latest)->is_tombstone()) return;
  // The only copy was never acknowledged, and cannot be made whole again.
  const bool is_only = std::ranges::none_of(cluster_.machines(), [&](Machine& other) {
    const auto there = *other.store.latest(cluster_.object(key));
    return &other != machine && there && there->hash() == (**latest).hash();
  });
  if (is_only) return;
  trace_.fault("flipped bit", "of '" + key + "' at " + machine->name());
  machine->store.damage(cluster_.object(key),
                        world_.random_between(0, (**latest)->chunk_count - 1));
}

void Nemesis::lose_disk() {
  auto* machine = victim();
  if (machine == nullptr) return;
  trace_.fault("lost disk", machine->name());
  machine->crash();
  machine->lose_store();
  restart_later(*machine, minutes(1));
}

// ---------------------------------------------------------------------------------------- clocks

std::int64_t Nemesis::draw_skew(std::uint64_t most_ms) {
  return static_cast<std::int64_t>(world_.random_between(0, 2 * most_ms)) -
         static_cast<std::int64_t>(most_ms);
}

/// Of one machine in most runs: were two in the same hour to come, they could acknowledge writes
/// that the others refuse until then.
void Nemesis::set_clock() {
  auto* machine = pick_running();
  if (machine == nullptr) return;
  const bool another = !wrong_clocks_.empty() && !wrong_clocks_.contains(machine->id());
  if (another && !scenario_.faults.all_clocks) return;
  wrong_clocks_.insert(machine->id());
  const auto most = world_.chance(300) ? 120'000U : 3'600'000U;
  machine->set_clock_skew(draw_skew(most));
  trace_.fault("clock",
               fmt::format("{} is off by {} s", machine->name(), machine->clock_skew_ms() / 1000));
}

// --------------------------------------------------------------------------------------- members

void Nemesis::join() {
  if (cluster_.machines().size() >= machines_max ||
      cluster_.roster().members.size() >= members_max_here) {
    return;
  }
  const auto zone = "zone" + std::to_string(world_.random_between(1, 4));
  trace_.fault("join", zone);
  cluster_.join(zone, Milliseconds(static_cast<std::int64_t>(world_.random_between(0, 30'000))));
}

bool Nemesis::only_the_liar_stays(const Machine* without) {
  return liar_ && std::ranges::none_of(cluster_.roster().members, [&](const auto& member) {
    const bool goes = member.draining || (without != nullptr && member.node == without->id());
    return !goes && member.node != *liar_;
  });
}

void Nemesis::drain() {
  const auto* machine = pick_running();
  if (machine == nullptr || only_the_liar_stays(machine)) return;
  trace_.fault("drain", machine->name());
  cluster_.set(*machine, {.node = {}, .zone = {}, .weight = {}, .draining = true});
}

void Nemesis::undrain() {
  for (const auto& machine : cluster_.machines()) {
    const auto* member = cluster_.roster().find(machine.id());
    if (member == nullptr || !member->draining) continue;
    trace_.fault("undrain", machine.name());
    cluster_.set(machine, {.node = {}, .zone = {}, .weight = {}, .draining = false});
    return;
  }
}

void Nemesis::remove_drained() {
  for (const auto& machine : cluster_.machines()) {
    const auto* member = cluster_.roster().find(machine.id());
    if (member == nullptr || !member->draining) continue;
    trace_.fault("removal", machine.name() + ", if it is drained");
    cluster_.remove(machine, false);
    return;
  }
}

/// It is lost with all that it holds, and the others are told to go on without it.
void Nemesis::remove_for_good() {
  auto* machine = victim();
  if (machine == nullptr || cluster_.running().size() < 3) return;
  if (only_the_liar_stays(machine) || !cluster_.is_one_without(*machine)) return;
  trace_.fault("member lost", machine->name());
  machine->crash();
  cluster_.remove(*machine, true);
  restart_later(*machine, minutes(2));  // where nobody could be told, it is back
}

void Nemesis::change_member() {
  const auto* machine = pick_running();
  if (machine == nullptr) return;
  client::NodeSet change;
  if (world_.chance(500)) {
    change.weight = static_cast<std::uint32_t>(world_.random_between(50, 200));
  } else {
    change.zone = "zone" + std::to_string(world_.random_between(1, 4));
  }
  trace_.fault("change", machine->name());
  cluster_.set(*machine, std::move(change));
}

// ------------------------------------------------------------------------------------------ lies

/// A later version of the same, signed by somebody else than the owner it names.
std::optional<Bytes> Nemesis::forge(ByteView wire) {
  const auto real = SignedManifest::trusted(wire);
  if (!real) return {};
  auto manifest = real->manifest();
  const auto owner = manifest.object.owner;
  manifest.object.owner = forger_.id();
  manifest.version.value += world_.random_between(1, 20'000) << 16;
  auto forged = SignedManifest::sign(manifest, forger_).wire();
  const auto named = std::ranges::search(forged, forger_.id().view());
  std::ranges::copy(owner.view(), named.begin());
  return forged;
}

void Nemesis::on_answer(const NodeId& replier, const peer::Request& request,
                        Result<PeerAnswer>& answer) {
  if (liar_ != replier || !answer || !world_.chance(500)) return;
  if (auto* reply = std::get_if<peer::GetManifest::Reply>(&answer->message)) {
    if (reply->manifest) reply->manifest = forge(*reply->manifest);
  } else if (std::holds_alternative<peer::GetChunk>(request) && !answer->payload.empty()) {
    auto bytes = to_bytes(answer->payload.view());
    bytes[world_.random_between(0, bytes.size() - 1)] ^= 1;
    answer->payload = Payload::take(std::move(bytes));
  }
}

}  // namespace zerodb::sim
