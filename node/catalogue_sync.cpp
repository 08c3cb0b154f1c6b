#include "node/catalogue_sync.hpp"

#include "node/entry_codec.hpp"
#include "node/fan_out.hpp"

namespace zerodb {
namespace {

constexpr Milliseconds call_timeout{10'000};
constexpr std::size_t fetches_max = 64;  // manifests being asked of other nodes at once
constexpr std::size_t batch_max = 256;   // manifests looked at in one go off the network thread
using StatePtr = std::shared_ptr<CatalogueState>;

/// What one node has that may be news.
struct Changes {
  std::vector<PartitionDigest> digests;
  std::vector<Entry> entries;
};

/// A version not known yet, and who listed it.
struct Wanted {
  Entry entry;
  std::vector<NodeId> sources;
};

// ------------------------------------------------------------------------------ what has changed

std::vector<std::uint32_t> changed_partitions(const CatalogueState& state, const NodeId& node,
                                              const std::vector<PartitionDigest>& digests) {
  const auto before = state.digests.find(node);
  std::vector<std::uint32_t> changed;
  for (std::uint32_t i = 0; i < digests.size(); ++i) {
    const auto known = before == state.digests.end() ? PartitionDigest{} : before->second[i];
    if (digests[i] != known) changed.push_back(i);
  }
  return changed;
}

void keep_news(const CatalogueState& state, std::vector<Entry> listed, std::vector<Entry>& kept) {
  for (auto& entry : listed) {
    if (entry.object.owner == state.keys->id() && state.index.is_news(entry)) kept.push_back(entry);
  }
}

Result<std::vector<Entry>> entries_here(Store& store, const OwnerId& owner,
                                        std::uint32_t partition) {
  std::vector<Entry> entries;
  EntryQuery query{.partition = static_cast<Partition>(partition), .owner = owner};
  while (true) {
    auto page = store.entries(query);
    if (!page) return fail(std::move(page.error()));
    entries.insert(entries.end(), page->entries.begin(), page->entries.end());
    if (!page->next_after) return entries;
    query.after = page->next_after;
  }
}

Task<Result<Changes>> changes_here(StatePtr state) {
  auto& context = state->context;
  Changes changes;
  auto get_digests = [&] { return context.store.digests(); };
  changes.digests = co_await offload(context.runtime, get_digests);
  for (const auto partition : changed_partitions(*state, context.mesh.self(), changes.digests)) {
    auto get_entries = [&] { return entries_here(context.store, state->keys->id(), partition); };
    auto entries = co_await offload(context.runtime, get_entries);
    if (!entries) co_return fail(std::move(entries.error()));
    keep_news(*state, std::move(*entries), changes.entries);
  }
  co_return changes;
}

/// Asks the rest of a listing, page by page; a page that does not go forward is an error.
Task<Status> entries_there(StatePtr state, NodeId node, std::vector<std::uint32_t> partitions,
                           std::vector<Entry>& kept) {
  std::optional<Bytes> after;
  while (!partitions.empty()) {
    peer::GetEntries request{.partitions = partitions, .owner = state->keys->id(), .after = after};
    auto answer =
        co_await call(state->context.links, node, std::move(request), Payload{}, call_timeout);
    if (!answer) co_return fail(std::move(answer.error()));
    auto entries = decode_entries(answer->payload.view());
    if (!entries) co_return fail(std::move(entries.error()));
    keep_news(*state, std::move(*entries), kept);
    const auto& next = answer->message;
    if (!next.next_partition) co_return Status{};
    const auto first = partitions.front();
    const bool forward =
        *next.next_partition > first || (*next.next_partition == first && next.next_after > after);
    if (!forward) co_return fail(Errc::invalid, "its listing does not go forward");
    std::erase_if(partitions, [&](std::uint32_t each) { return each < *next.next_partition; });
    after = next.next_after;
  }
  co_return Status{};
}

Task<Result<Changes>> changes_there(StatePtr state, NodeId node) {
  auto answer =
      co_await call(state->context.links, node, peer::GetDigests{}, Payload{}, call_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  auto digests = decode_digests(answer->payload.view());
  if (!digests) co_return fail(std::move(digests.error()));
  Changes changes{.digests = std::move(*digests), .entries = {}};
  auto partitions = changed_partitions(*state, node, changes.digests);
  auto listed = co_await entries_there(state, node, std::move(partitions), changes.entries);
  if (!listed) co_return fail(std::move(listed.error()));
  co_return changes;
}

// ----------------------------------------------------------------------- learning what is wanted

/// Takes manifests from the front of `wires`, a batch at a time.
Task<void> learn_news(StatePtr state) {
  auto wires = std::exchange(state->news, {});
  for (std::size_t from = 0; from < wires.size(); from += batch_max) {
    std::vector<Described> learnt;
    auto work = [&] {
      for (auto i = from; i < std::min(from + batch_max, wires.size()); ++i) {
        auto manifest = SignedManifest::verify(wires[i]);
        if (!manifest) continue;
        auto described = describe_for_listing(*manifest, *state->keys);
        if (described) learnt.push_back(std::move(*described));
      }
    };
    co_await state->context.runtime.run_blocking(work);
    for (auto& described : learnt)
      state->index.learn(std::move(described));
  }
}

/// The fetching of one round.
struct Fetching {
  explicit Fetching(StatePtr of) : state(std::move(of)) {}

  StatePtr state;
  std::vector<Wanted> wanted;
  std::size_t next = 0;
  std::set<NodeId> failed;  ///< nodes that stopped answering
};
using FetchingPtr = std::shared_ptr<Fetching>;

/// From the own store, which verified them before.
Task<void> learn_here(FetchingPtr fetching, std::vector<ObjectId> objects) {
  auto& state = *fetching->state;
  for (std::size_t from = 0; from < objects.size(); from += batch_max) {
    std::vector<Described> learnt;
    bool failed = false;
    auto work = [&] {
      for (auto i = from; i < std::min(from + batch_max, objects.size()); ++i) {
        auto latest = state.context.store.latest(objects[i]);
        failed = failed || !latest;
        if (!latest || !*latest) continue;
        auto described = describe_for_listing(**latest, *state.keys);
        if (described) learnt.push_back(std::move(*described));
      }
    };
    co_await state.context.runtime.run_blocking(work);
    for (auto& described : learnt)
      state.index.learn(std::move(described));
    if (failed) fetching->failed.insert(state.context.mesh.self());
  }
}

/// True if `node` told what it has; whether it was worth learning is another matter: a node may
/// list what nobody signed.
Task<bool> learn_there(FetchingPtr fetching, NodeId node, ObjectId object) {
  auto& state = *fetching->state;
  peer::GetManifest request{
      .owner = object.owner, .hashed_key = object.hashed_key, .with_inline = false};
  auto answer =
      co_await call(state.context.links, node, std::move(request), Payload{}, call_timeout);
  if (!answer) {
    fetching->failed.insert(node);
    co_return false;
  }
  if (!answer->message.manifest) co_return false;
  const auto wire = std::move(*answer->message.manifest);
  auto work = [&]() -> Result<Described> {
    auto manifest = SignedManifest::verify(wire);
    if (!manifest) return fail(std::move(manifest.error()));
    return describe_for_listing(*manifest, *state.keys);
  };
  auto described = co_await offload(state.context.runtime, work);
  if (!described) co_return false;
  state.index.learn(std::move(*described));
  co_return true;
}

/// One of several that share the list of what is wanted.
Task<bool> fetch_some(FetchingPtr fetching) {
  while (fetching->next < fetching->wanted.size()) {
    const auto wanted = fetching->wanted[fetching->next++];
    for (const auto& node : wanted.sources) {
      const bool learnt = co_await learn_there(fetching, node, wanted.entry.object);
      if (learnt) break;
    }
  }
  co_return true;
}

/// Asks each wanted version of a node that listed it, the own store first.
Task<void> fetch_wanted(FetchingPtr fetching) {
  auto& state = *fetching->state;
  const auto self = state.context.mesh.self();
  std::vector<ObjectId> here;
  std::erase_if(fetching->wanted, [&](const Wanted& wanted) {
    const bool found = std::ranges::find(wanted.sources, self) != wanted.sources.end();
    if (found) here.push_back(wanted.entry.object);
    return found;
  });
  co_await learn_here(fetching, std::move(here));
  FanOut<bool> workers(state.context.runtime);
  for (std::size_t i = 0; i < std::min(fetches_max, fetching->wanted.size()); ++i) {
    workers.ask(self, fetch_some(fetching));
  }
  while (!workers.all_answered())
    co_await workers.changed();
}

void add_wanted(std::map<ObjectId, Wanted>& wanted, const NodeId& node, const Entry& entry) {
  auto& known = wanted[entry.object];
  const bool later = known.sources.empty() || std::tie(entry.version, entry.hash) >
                                                  std::tie(known.entry.version, known.entry.hash);
  if (later)
    known = {.entry = entry, .sources = {node}};
  else if (entry == known.entry)
    known.sources.push_back(node);
}

// -------------------------------------------------------------------------------- is it complete?

/// Whether among `answered` there is a holder of every acknowledged write to `partition`.
bool covers(const CatalogueState& state, const std::set<NodeId>& answered, Partition partition) {
  const auto& mesh = state.context.mesh;
  const auto& placed = mesh.placement().nodes_for(partition);
  const auto said = std::ranges::count_if(placed, [&](const NodeId& node) {
    return answered.contains(node) && (node != mesh.self() || mesh.is_settled(partition));
  });
  return said >= read_quorum(static_cast<std::uint32_t>(placed.size()));
}

Status check_complete(const CatalogueState& state, const std::set<NodeId>& answered) {
  const auto& mesh = state.context.mesh;
  std::string silent;
  std::size_t count = 0;
  for (const auto& member : mesh.roster().members) {
    if (answered.contains(member.node)) continue;
    count += 1;
    silent += (silent.empty() ? "" : ", ") + mesh.describe(member.node);
  }
  if (count < write_quorum(mesh.placement().replicas())) return {};
  for (std::size_t partition = 0; partition < partition_count; ++partition) {
    if (covers(state, answered, static_cast<Partition>(partition))) continue;
    return fail(Errc::no_quorum, "cannot tell all names, as too few nodes answer: no answer from " +
                                     silent + "; start or reach those nodes, then try again");
  }
  return {};
}

using Answers = std::map<NodeId, Changes>;

Task<Answers> ask_members(StatePtr state) {
  auto& context = state->context;
  FanOut<Result<Changes>> round(context.runtime);
  for (const auto& member : context.mesh.roster().members) {
    if (member.node == context.mesh.self()) {
      round.ask(member.node, changes_here(state));
    } else if (context.links.state(member.node).up) {
      round.ask(member.node, changes_there(state, member.node));
    }
  }
  Answers answers;
  while (true) {
    while (auto next = round.take()) {
      if (next->second) answers.emplace(next->first, std::move(*next->second));
    }
    if (round.all_answered()) co_return answers;
    co_await round.changed();
  }
}

}  // namespace

Task<Status> sync_catalogue(std::shared_ptr<CatalogueState> state) {
  co_await learn_news(state);
  auto answers = co_await ask_members(state);
  std::map<ObjectId, Wanted> wanted;
  for (const auto& [node, changes] : answers) {
    for (const auto& entry : changes.entries)
      add_wanted(wanted, node, entry);
  }
  const auto fetching = std::make_shared<Fetching>(state);
  for (auto& [object, each] : wanted)
    fetching->wanted.push_back(std::move(each));
  co_await fetch_wanted(fetching);
  std::set<NodeId> answered;
  for (auto& [node, changes] : answers) {
    if (fetching->failed.contains(node)) continue;
    answered.insert(node);
    state->digests.insert_or_assign(node, std::move(changes.digests));
  }
  co_return check_complete(*state, answered);
}

}  // namespace zerodb
