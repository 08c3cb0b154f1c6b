#include "node/fetch.hpp"

#include <algorithm>

#include "node/blob_fetch.hpp"

namespace zerodb {

namespace {

constexpr Milliseconds manifest_timeout{10'000};
constexpr Milliseconds chunk_timeout{20'000};

/// What can be done with what is here already; nothing if bytes must be fetched.
Result<bool> commit_without_fetching(Store& store, const SignedManifest& manifest) {
  auto latest = store.latest(manifest->object);
  if (!latest) return fail(std::move(latest.error()));
  if (*latest && !manifest.is_later_than(**latest)) return true;
  auto outcome =
      manifest->is_tombstone() ? store.commit_inline(manifest, {}) : store.commit_version(manifest);
  if (!outcome) return fail(std::move(outcome.error()));
  return outcome->kind != CommitOutcome::Kind::blob_missing;
}

Task<Status> fetch_inline_from(NodeContext context, SignedManifest manifest, NodeId holder) {
  peer::GetChunk request{.owner = manifest->object.owner,
                         .hashed_key = manifest->object.hashed_key,
                         .blob_id = manifest->blob_id,
                         .index = 0};
  auto answer = co_await call(context.links, holder, std::move(request), Payload(), chunk_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  auto outcome = co_await offload(context.runtime, [&context, &manifest, &answer] {
    return context.store.commit_inline(manifest, answer->payload.view());
  });
  if (!outcome) co_return fail(context.mesh.describe(holder), std::move(outcome.error()));
  co_return Status();
}

Task<Status> fetch_inline(NodeContext context, SignedManifest manifest,
                          std::vector<NodeId> holders) {
  Error last{Errc::not_found, "fetch: no node to fetch from"};
  for (const auto& holder : holders) {
    auto fetched = co_await fetch_inline_from(context, manifest, holder);
    if (fetched) co_return fetched;
    last = std::move(fetched.error());
  }
  co_return fail(std::move(last));
}

/// `first`, then whoever else should hold the object.
std::vector<NodeId> likely_holders(const Mesh& mesh, const ObjectId& object, const NodeId& first) {
  std::vector<NodeId> holders{first};
  for (const auto& node : mesh.placement().nodes_for(partition_of(object.hashed_key))) {
    if (node != first && node != mesh.self()) holders.push_back(node);
  }
  return holders;
}

/// The manifest a node answered with, if it is the object's, is signed, and is not of the future.
Result<SignedManifest> check_answer(ByteView wire, const ObjectId& object, std::uint64_t now_ms) {
  auto manifest = SignedManifest::verify(wire);
  if (!manifest) return manifest;
  if ((*manifest)->object != object) {
    return fail(Errc::invalid, "answered with another object's manifest");
  }
  if (auto on_time = check_not_future((*manifest)->version, now_ms); !on_time) {
    return fail(std::move(on_time.error()));
  }
  return manifest;
}

/// Verifies, and commits at once if the sealed bytes came along; the answer is what is left to
/// fetch.
Result<std::optional<SignedManifest>> take_answer(Store& store,
                                                  const Answer<peer::GetManifest::Reply>& answer,
                                                  const ObjectId& object, std::uint64_t now_ms) {
  auto manifest = check_answer(*answer.message.manifest, object, now_ms);
  if (!manifest) return fail(std::move(manifest.error()));
  auto done = commit_without_fetching(store, *manifest);
  if (!done) return fail(std::move(done.error()));
  if (*done) return std::optional<SignedManifest>();
  if ((*manifest)->is_inline() && !answer.payload.empty()) {
    auto outcome = store.commit_inline(*manifest, answer.payload.view());
    if (outcome) return std::optional<SignedManifest>();
    // Damaged there; another node may have it whole.
    if (outcome.error().code != Errc::corrupt) return fail(std::move(outcome.error()));
  }
  return std::optional<SignedManifest>(std::move(*manifest));
}

}  // namespace

Task<Status> fetch_version(NodeContext context, SignedManifest manifest,
                           std::vector<NodeId> holders) {
  auto done = co_await offload(context.runtime, [&context, &manifest] {
    return commit_without_fetching(context.store, manifest);
  });
  if (!done) co_return fail(std::move(done.error()));
  if (*done) co_return Status();
  if (manifest->is_inline()) {
    co_return co_await fetch_inline(context, std::move(manifest), std::move(holders));
  }
  auto fetch = std::make_shared<BlobFetch>(context, std::move(manifest), holders);
  co_return co_await fetch->run();
}

Task<Status> fetch_latest(NodeContext context, ObjectId object, NodeId holder) {
  peer::GetManifest request{
      .owner = object.owner, .hashed_key = object.hashed_key, .with_inline = true};
  auto answer =
      co_await call(context.links, holder, std::move(request), Payload(), manifest_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  if (!answer->message.manifest) {
    co_return fail(Errc::not_found, context.mesh.describe(holder) + ": does not have the object");
  }
  const auto now = context.runtime.now_ms();
  auto left = co_await offload(context.runtime, [&context, &answer, &object, now] {
    return take_answer(context.store, *answer, object, now);
  });
  if (!left) co_return fail(context.mesh.describe(holder), std::move(left.error()));
  if (!*left) co_return Status();
  auto holders = likely_holders(context.mesh, object, holder);
  co_return co_await fetch_version(context, std::move(**left), std::move(holders));
}

}  // namespace zerodb
