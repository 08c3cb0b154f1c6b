#include "tests/sim/faults/checker.hpp"

#include <fmt/format.h>

#include "store/cipher.hpp"
#include "store/hash.hpp"

namespace zerodb::sim {

namespace {

/// Reads and hashes all of it.
bool is_whole(MemoryStore& store, const SignedManifest& manifest) {
  if (manifest->is_tombstone()) return true;
  if (store.is_damaged(manifest->binding())) return false;
  const auto leaves = store.read_leaves(manifest, 0, manifest->chunk_count);
  if (!leaves || leaves->size() != manifest->chunk_count) return false;
  for (std::uint64_t i = 0; i < manifest->chunk_count; ++i) {
    const auto chunk = store.read_chunk(manifest, i);
    if (!chunk || leaf_of(chunk->view()) != (*leaves)[i]) return false;
  }
  return true;
}

}  // namespace

std::vector<Machine*> Checker::members() {
  std::vector<Machine*> members;
  for (auto& machine : cluster_.machines()) {
    if (cluster_.is_member(machine)) members.push_back(&machine);
  }
  return members;
}

std::optional<SignedManifest> Checker::latest_anywhere(const std::string& key) {
  std::optional<SignedManifest> latest;
  for (auto* machine : members()) {
    auto here = *machine->store.latest(cluster_.object(key));
    if (here && (!latest || here->is_later_than(*latest))) latest = std::move(here);
  }
  return latest;
}

Complaint Checker::not_converged() {
  if (auto differ = members_differ()) return differ;
  for (const auto& [key, writes] : ledger_.keys()) {
    if (auto wrong = misheld(key)) return wrong;
  }
  return strays();
}

Complaint Checker::members_differ() {
  for (auto* machine : members()) {
    if (!machine->is_running()) return machine->name() + " does not run";
    const auto& mesh = machine->mesh();
    if (mesh.roster().version != cluster_.roster().version) {
      return fmt::format("{} goes by roster {}, not by {}", machine->name(), mesh.roster().version,
                         cluster_.roster().version);
    }
    if (!mesh.is_settled()) return machine->name() + " is not settled";
    if (!mesh.is_clean_everywhere()) {
      return machine->name() + " does not know that all are settled and clean";
    }
    if (!machine->node().is_idle()) return machine->name() + " still reconciles";
  }
  return {};
}

Complaint Checker::misheld(const std::string& key) {
  const auto latest = latest_anywhere(key);
  if (!latest) return {};
  for (auto* machine : members()) {
    if (auto wrong = misheld_at(*machine, key, *latest)) return wrong;
  }
  return {};
}

/// A tombstone that is old enough may be gone from some already.
Complaint Checker::misheld_at(Machine& machine, const std::string& key,
                              const SignedManifest& latest) {
  const auto here = *machine.store.latest(cluster_.object(key));
  if (!machine.mesh().is_placed_here(partition_of(latest->object.hashed_key))) {
    if (!here) return {};
    return fmt::format("{} still holds '{}', which is not placed there", machine.name(), key);
  }
  if (!here && latest->is_tombstone() && machine.may_forget(latest->version)) return {};
  if (!here) return fmt::format("{} does not hold '{}'", machine.name(), key);
  if (here->hash() != latest.hash()) {
    return fmt::format("{} holds version {} of '{}', not {}", machine.name(),
                       to_string((*here)->version), key, to_string(latest->version));
  }
  if (is_whole(machine.store, *here)) return {};
  return fmt::format("the bytes of '{}' at {} are damaged", key, machine.name());
}

/// With every key looked at, the counts tell of anything else.
Complaint Checker::strays() {
  for (auto* machine : members()) {
    std::size_t held = 0;
    for (const auto& [key, writes] : ledger_.keys())
      held += machine->store.latest(cluster_.object(key))->has_value() ? 1 : 0;
    const auto stats = machine->store.stats();
    if (stats.objects + stats.tombstones != held) {
      return machine->name() + " holds an object that no client ever named";
    }
  }
  return {};
}

std::optional<Checker::Latest> Checker::latest(const std::string& key) {
  const auto latest = latest_anywhere(key);
  if (!latest) return {};
  return Latest{.version = (*latest)->version, .is_tombstone = latest->manifest().is_tombstone()};
}

Complaint Checker::check_standing(const std::string& key) {
  const auto floor = ledger_.floor(key);
  const auto standing = latest(key);
  Sighting sighting{.by = "the converged mesh", .version = {}, .content = {}};
  if (standing && standing->is_tombstone && standing->version >= floor.version) return {};
  if (standing) sighting.version = standing->version;
  return ledger_.check(key, floor, sighting, true);
}

Complaint Checker::check_bounds() {
  constexpr std::size_t calls_max = 1'000;  // the high-water mark of a control lane
  const auto transfers_max = ReplicaOptions{}.transfers_max;
  if (cluster_.network().calls_peak() > calls_max) {
    return fmt::format("a node had {} calls under way", cluster_.network().calls_peak());
  }
  for (auto* machine : members()) {
    const auto uploads = machine->store.stats().uploads;
    if (uploads > 2 * transfers_max) {
      return fmt::format("{} has {} uploads open", machine->name(), uploads);
    }
  }
  return {};
}

Complaint Checker::check_idle() {
  for (auto* machine : members()) {
    const auto uploads = machine->store.stats().uploads;
    if (uploads > 0) return fmt::format("{} keeps {} uploads open", machine->name(), uploads);
  }
  return {};
}

Complaint Checker::check_forgotten() {
  for (auto* machine : members()) {
    const auto tombstones = machine->store.stats().tombstones;
    if (tombstones > 0) {
      return fmt::format("{} still keeps {} old tombstones", machine->name(), tombstones);
    }
  }
  return digests_differ();
}

Complaint Checker::digests_differ() {
  std::map<Partition, PartitionDigest> known;
  for (auto* machine : members()) {
    const auto digests = machine->store.digests();
    for (std::size_t i = 0; i < partition_count; ++i) {
      const auto partition = static_cast<Partition>(i);
      if (!machine->mesh().is_placed_here(partition)) continue;
      const auto [at, is_first] = known.try_emplace(partition, digests[i]);
      if (at->second == digests[i]) continue;
      return fmt::format("{} has another digest of partition {}", machine->name(), i);
    }
  }
  return {};
}

}  // namespace zerodb::sim
