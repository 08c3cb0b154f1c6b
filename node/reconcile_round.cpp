#include "node/reconcile_round.hpp"

#include "node/entry_listing.hpp"

namespace zerodb {

namespace {

/// Fetches a round has open before it lists on.
constexpr std::size_t open_max = 256;

/// What a node lists and does not have, before its listing is taken for made up. A few are dropped
/// while they are listed.
constexpr std::size_t empty_max = 1'000;

/// The sizes only while they tell how much is left to take over.
Task<Result<SizedDigests>> ask(NodeContext context, NodeId node) {
  if (!context.mesh.is_settled()) co_return co_await ask_sized_digests(context.links, node);
  auto digests = co_await ask_digests(context.links, node, context.store.digests());
  if (!digests) co_return fail(std::move(digests.error()));
  co_return SizedDigests{.digests = std::move(*digests)};
}

/// Partitions placed here whose digests differ.
Task<Result<std::vector<Partition>>> find_differences(NodeContext context, NodeId node,
                                                      std::shared_ptr<TakeOver> take_over) {
  const auto theirs = co_await ask(context, node);
  if (!theirs) co_return fail(theirs.error());
  const auto ours = context.store.digests();
  std::vector<Partition> differing;
  for (std::size_t i = 0; i < partition_count; ++i) {
    const auto partition = static_cast<Partition>(i);
    if (ours[i] == theirs->digests[i] || !context.mesh.is_placed_here(partition)) continue;
    differing.push_back(partition);
    if (theirs->bytes.empty()) continue;
    take_over->bytes_there[i] = std::max(take_over->bytes_there[i], theirs->bytes[i]);
  }
  co_return differing;
}

bool is_later(const Entry& entry, const std::optional<SignedManifest>& ours) {
  if (!ours) return true;
  const auto standing = std::pair((*ours)->version, ours->hash());
  return std::pair(entry.version, entry.hash) > standing;
}

/// Those of `entries` that are later than what is here.
Result<std::vector<Entry>> find_news(Store& store, const std::vector<Entry>& entries) {
  std::vector<Entry> news;
  for (const auto& entry : entries) {
    const auto ours = store.latest(entry.object);
    if (!ours) return fail(ours.error());
    if (is_later(entry, *ours)) news.push_back(entry);
  }
  return news;
}

}  // namespace

Task<Status> run_round(NodeContext context, std::shared_ptr<FetchQueue> queue, NodeId node,
                       std::shared_ptr<TakeOver> take_over) {
  auto differing = co_await find_differences(context, node, std::move(take_over));
  if (!differing) co_return fail(std::move(differing.error()));
  const auto tally = std::make_shared<FetchTally>(context.runtime);
  EntryListing listing(context, node, std::move(*differing));
  while (!listing.is_done()) {
    auto entries = co_await listing.next();
    if (!entries) co_return fail(std::move(entries.error()));
    auto news = co_await offload(
        context.runtime, [&context, &entries] { return find_news(context.store, *entries); });
    if (!news) co_return fail(std::move(news.error()));
    for (const auto& entry : *news) {
      co_await FetchTally::wait(tally, open_max);
      if (tally->empty() > empty_max) {
        co_return fail(Errc::invalid,
                       context.mesh.describe(node) + ": lists what it does not have");
      }
      queue->want_latest(entry, node, tally);
    }
  }
  co_await FetchTally::wait(tally, 0);
  if (tally->failed() == 0) co_return Status();
  co_return fail(Errc::io, std::to_string(tally->failed()) + " objects could not be fetched");
}

}  // namespace zerodb
