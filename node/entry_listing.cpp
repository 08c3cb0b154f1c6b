#include "node/entry_listing.hpp"

#include <algorithm>

#include "node/digest_groups.hpp"

namespace zerodb {

namespace {

/// Of one request: what a node looks through to answer it stays bounded.
constexpr std::size_t partitions_per_request_max = 512;

}  // namespace

Task<Result<std::vector<PartitionDigest>>> ask_digests(Links& links, NodeId node,
                                                       std::vector<PartitionDigest> known) {
  auto sums = Payload::take(sum_groups(known));
  auto answer = co_await call(links, node, peer::GetDigests{}, std::move(sums), listing_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  const auto payload = answer->payload.view();
  // A node of before there were sums answers with all.
  if (payload.size() == partition_count * sizeof(PartitionDigest))
    co_return decode_digests(payload);
  co_return apply_differing(std::move(known), payload);
}

Task<Result<SizedDigests>> ask_sized_digests(Links& links, NodeId node) {
  const peer::GetDigests request{.with_sizes = true};
  auto answer = co_await call(links, node, request, Payload(), listing_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return decode_sized_digests(answer->payload.view());
}

EntryListing::EntryListing(NodeContext context, NodeId node, std::vector<Partition> partitions,
                           std::optional<OwnerId> owner)
    : context_(context),
      node_(node),
      partitions_(partitions.begin(), partitions.end()),
      owner_(owner) {}

/// What is here of `partitions`, as far as the listing may leave it out.
Task<Result<Bytes>> EntryListing::known(std::vector<std::uint32_t> partitions) {
  if (owner_) co_return Bytes{};
  co_return co_await offload(context_.runtime,
                             [&] { return digest_parts(context_.store, partitions); });
}

Task<Result<std::vector<Entry>>> EntryListing::next() {
  const auto count = std::min(partitions_.size(), partitions_per_request_max);
  peer::GetEntries request;
  request.partitions.assign(partitions_.begin(),
                            partitions_.begin() + static_cast<std::ptrdiff_t>(count));
  request.owner = owner_;
  auto here = co_await known(request.partitions);
  if (!here) co_return fail(std::move(here.error()));
  if (after_) request.after = encode_position(*after_);
  auto answer = co_await call(context_.links, node_, std::move(request),
                              Payload::take(std::move(*here)), listing_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  auto entries = decode_entries(answer->payload.view());
  if (!entries) co_return fail(std::move(entries.error()));
  if (auto right = check(*entries); !right) co_return fail(std::move(right.error()));
  if (auto further = go_on_from(answer->message, entries->empty()); !further) {
    co_return fail(std::move(further.error()));
  }
  co_return std::move(*entries);
}

Status EntryListing::check(const std::vector<Entry>& entries) const {
  for (const auto& entry : entries) {
    const bool asked_for =
        std::ranges::binary_search(partitions_, partition_of(entry.object.hashed_key));
    if (!asked_for) {
      return fail(Errc::invalid, "node " + node_.short_hex() + ": lists what was not asked for");
    }
  }
  return {};
}

/// Drops what is listed; every step forward is a real one, so that a listing ends.
Status EntryListing::go_on_from(const peer::GetEntries::Reply& reply, bool is_empty) {
  const auto stuck = [this] {
    return fail(Errc::invalid, "node " + node_.short_hex() + ": its listing does not go on");
  };
  const auto batch_end = partitions_.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                   partitions_.size(), partitions_per_request_max));
  if (!reply.next_partition) {
    partitions_.erase(partitions_.begin(), batch_end);
    after_.reset();
    return {};
  }
  std::optional<ObjectId> after;
  if (reply.next_after) {
    auto position = decode_position(*reply.next_after);
    if (!position) return fail(std::move(position.error()));
    after = *position;
  }
  const auto next = std::find(partitions_.begin(), batch_end, *reply.next_partition);
  if (next == batch_end) return stuck();
  if (next == partitions_.begin() && is_empty) return stuck();
  if (next == partitions_.begin() && (!after || (after_ && *after <= *after_))) return stuck();
  partitions_.erase(partitions_.begin(), next);
  after_ = after;
  return {};
}

}  // namespace zerodb
