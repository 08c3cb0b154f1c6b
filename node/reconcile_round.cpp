#include "node/reconcile_round.hpp"

#include "node/entry_listing.hpp"

namespace zerodb {

namespace {

/// Fetches a round has open before it lists on.
constexpr std::size_t open_max = 256;

/// Partitions placed here whose digests differ.
Task<Result<std::vector<Partition>>> find_differences(NodeContext context, NodeId node) {
  auto theirs = co_await ask_digests(context.links, node);
  if (!theirs) co_return fail(std::move(theirs.error()));
  const auto ours =
      co_await offload(context.runtime, [&context] { return context.store.digests(); });
  std::vector<Partition> differing;
  for (std::size_t i = 0; i < partition_count; ++i) {
    const auto partition = static_cast<Partition>(i);
    if (ours[i] != (*theirs)[i] && context.mesh.is_placed_here(partition)) {
      differing.push_back(partition);
    }
  }
  co_return differing;
}

bool is_later(const Entry& entry, const std::optional<SignedManifest>& ours) {
  if (!ours) return true;
  const auto standing = std::pair((*ours)->version, ours->hash());
  return std::pair(entry.version, entry.hash) > standing;
}

/// Those of `entries` that are later than what is here.
Result<std::vector<ObjectId>> find_news(Store& store, const std::vector<Entry>& entries) {
  std::vector<ObjectId> news;
  for (const auto& entry : entries) {
    const auto ours = store.latest(entry.object);
    if (!ours) return fail(ours.error());
    if (is_later(entry, *ours)) news.push_back(entry.object);
  }
  return news;
}

}  // namespace

Task<Status> run_round(NodeContext context, std::shared_ptr<FetchQueue> queue, NodeId node) {
  auto differing = co_await find_differences(context, node);
  if (!differing) co_return fail(std::move(differing.error()));
  const auto tally = std::make_shared<FetchTally>(context.runtime);
  EntryListing listing(context.links, node, std::move(*differing), std::nullopt);
  while (!listing.is_done()) {
    auto entries = co_await listing.next();
    if (!entries) co_return fail(std::move(entries.error()));
    auto news = co_await offload(
        context.runtime, [&context, &entries] { return find_news(context.store, *entries); });
    if (!news) co_return fail(std::move(news.error()));
    for (const auto& object : *news) {
      co_await FetchTally::wait(tally, open_max);
      queue->want_latest(object, node, tally);
    }
  }
  co_await FetchTally::wait(tally, 0);
  if (tally->failed() == 0) co_return Status();
  co_return fail(Errc::io, std::to_string(tally->failed()) + " objects could not be fetched");
}

}  // namespace zerodb
