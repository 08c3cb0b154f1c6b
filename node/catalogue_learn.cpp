#include "node/catalogue_learn.hpp"

namespace zerodb {
namespace {

constexpr Milliseconds call_timeout{10'000};
constexpr std::size_t fetches_max = 64;       // manifests being asked of one other node at once
constexpr std::size_t learn_batch_max = 256;  // looked at in one go off the network thread

/// `corrupt` or `denied` if the private part does not open. Any thread.
Result<NameRecord> describe(const SignedManifest& manifest, const OwnerKeys& keys) {
  auto part = open_private_part(keys, manifest.manifest());
  if (!part) return fail(std::move(part.error()));
  return NameRecord{.hashed_key = manifest->object.hashed_key,
                    .hash = manifest.hash(),
                    .deleted = manifest->is_tombstone(),
                    .entry = {.name = std::move(part->name),
                              .size = manifest->size,
                              .version = manifest->version,
                              .mtime_ms = part->mtime_ms}};
}

/// How what was described is learnt: listed by a node, or announced to all.
using Learn = Task<void> (KnownNames::*)(std::vector<NameRecord>);

/// Describes manifests `[from, to)` that `get` answers, off the network thread.
template <class Get>
Task<void> learn_batch(StatePtr state, Learn learn, Get get, std::size_t from, std::size_t to) {
  std::vector<NameRecord> learnt;
  auto work = [&] {
    for (auto i = from; i < to; ++i) {
      const std::optional<SignedManifest> manifest = get(i);
      if (!manifest) continue;
      auto described = describe(*manifest, *state->keys);
      if (described) learnt.push_back(std::move(*described));
    }
  };
  co_await state->context.runtime.run_blocking(work);
  co_await (state->names.get()->*learn)(std::move(learnt));
}

/// From the own store, which verified them before.
Task<void> learn_here(SyncRoundPtr round, std::vector<ObjectId> objects) {
  auto& context = round->state->context;
  bool failed = false;
  const auto get = [&](std::size_t i) -> std::optional<SignedManifest> {
    auto latest = context.store.latest(objects[i]);
    failed = failed || !latest;
    if (!latest) return {};
    return std::move(*latest);
  };
  for (std::size_t from = 0; from < objects.size(); from += learn_batch_max) {
    co_await learn_batch(round->state, &KnownNames::learn_all, get, from,
                         std::min(from + learn_batch_max, objects.size()));
  }
  if (failed) round->failed.insert(context.mesh.self());
}

/// True if `node` told what it has; whether it was worth learning is another matter: a node may
/// list what nobody signed.
Task<bool> learn_there(SyncRoundPtr round, NodeId node, ObjectId object) {
  if (round->failed.contains(node)) co_return false;
  auto& state = *round->state;
  peer::GetManifest request{
      .owner = object.owner, .hashed_key = object.hashed_key, .with_inline = false};
  auto answer =
      co_await call(state.context.links, node, std::move(request), Payload{}, call_timeout);
  if (!answer) {
    round->failed.insert(node);
    co_return false;
  }
  if (!answer->message.manifest) co_return false;
  const auto wire = std::move(*answer->message.manifest);
  auto work = [&]() -> Result<NameRecord> {
    auto manifest = SignedManifest::verify(wire);
    if (!manifest) return fail(std::move(manifest.error()));
    if ((*manifest)->object != object) return fail(Errc::invalid, "another object's manifest");
    return describe(*manifest, *state.keys);
  };
  auto described = co_await offload(state.context.runtime, work);
  if (!described) co_return false;
  std::vector<NameRecord> learnt;
  learnt.push_back(std::move(*described));
  co_await state.names->learn_all(std::move(learnt));
  co_return true;
}

/// What is to be fetched from one node.
struct Queue {
  NodeId node;
  std::vector<Wanted> wanted;
  std::size_t next = 0;
};
using QueuePtr = std::shared_ptr<Queue>;

Task<bool> fetch_some(SyncRoundPtr round, QueuePtr queue) {
  while (queue->next < queue->wanted.size()) {
    const auto i = queue->next++;
    const auto object = queue->wanted[i].entry.object;
    const bool told = co_await learn_there(round, queue->node, object);
    queue->wanted[i].told = told;
  }
  co_return true;
}

/// Several at a time, from one node.
Task<bool> fetch_from(SyncRoundPtr round, QueuePtr queue) {
  FanOut<bool> workers(round->state->context.runtime);
  for (std::size_t i = 0; i < std::min(fetches_max, queue->wanted.size()); ++i)
    workers.ask(queue->node, fetch_some(round, queue));
  while (!workers.all_answered())
    co_await workers.changed();
  co_return true;
}

/// Each of the first node left that listed it, all nodes at once. Answers what none of these told,
/// without them.
Task<std::vector<Wanted>> fetch_from_each(SyncRoundPtr round, std::vector<Wanted> wanted) {
  std::map<NodeId, QueuePtr> queues;
  for (auto& each : wanted) {
    std::erase_if(each.sources, [&](const NodeId& node) { return round->failed.contains(node); });
    if (each.sources.empty()) continue;
    const auto node = each.sources.front();
    each.sources.erase(each.sources.begin());
    auto& queue = queues[node];
    if (!queue) queue = std::make_shared<Queue>(Queue{.node = node, .wanted = {}});
    queue->wanted.push_back(std::move(each));
  }
  FanOut<bool> nodes(round->state->context.runtime);
  for (const auto& [node, queue] : queues)
    nodes.ask(node, fetch_from(round, queue));
  co_await await_answers(round, nodes);
  std::vector<Wanted> left;
  for (const auto& [node, queue] : queues) {
    queue->next = queue->wanted.size();  // a node that was not waited for is asked no more
    std::ranges::copy_if(queue->wanted, std::back_inserter(left),
                         [](const Wanted& each) { return !each.told; });
  }
  co_return left;
}

}  // namespace

Task<void> fetch_wanted(SyncRoundPtr round, std::map<ObjectId, Wanted> wanted) {
  const auto self = round->state->context.mesh.self();
  std::vector<ObjectId> here;
  std::vector<Wanted> there;
  for (auto& [object, each] : wanted) {
    if (std::ranges::find(each.sources, self) != each.sources.end()) {
      here.push_back(object);
    } else {
      there.push_back(std::move(each));
    }
  }
  wanted.clear();
  co_await learn_here(round, std::move(here));
  while (!there.empty())
    there = co_await fetch_from_each(round, std::move(there));
}

Task<void> learn_news(StatePtr state) {
  const auto wires = std::exchange(state->news, {});
  const auto get = [&](std::size_t i) -> std::optional<SignedManifest> {
    const auto claimed = SignedManifest::trusted(wires[i]);  // to be verified if it is of interest
    if (!claimed || (*claimed)->object.owner != state->keys->id()) return {};
    auto manifest = SignedManifest::verify(wires[i]);
    if (!manifest) return {};
    return std::move(*manifest);
  };
  for (std::size_t from = 0; from < wires.size(); from += learn_batch_max) {
    co_await learn_batch(state, &KnownNames::learn_announced, get, from,
                         std::min(from + learn_batch_max, wires.size()));
  }
}

}  // namespace zerodb
