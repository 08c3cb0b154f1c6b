#include "node/fetch.hpp"

#include <algorithm>

#include "node/blob_fetch.hpp"
#include "node/holder_errors.hpp"

namespace zerodb {

namespace {

constexpr Milliseconds manifest_timeout{10'000};
constexpr Milliseconds inline_timeout{20'000};

/// What can be done with what is here already; nothing if bytes must be fetched.
Result<bool> commit_without_fetching(Store& store, const SignedManifest& manifest,
                                     std::uint64_t forget_before) {
  auto latest = store.latest(manifest->object);
  if (!latest) return fail(std::move(latest.error()));
  if (*latest && !manifest.is_later_than(**latest)) return true;
  const bool forgotten = manifest->is_tombstone() && manifest->version.ms() < forget_before;
  if (!*latest && forgotten) return true;
  auto outcome =
      manifest->is_tombstone() ? store.commit_inline(manifest, {}) : store.commit_version(manifest);
  if (!outcome) return fail(std::move(outcome.error()));
  return outcome->kind != CommitOutcome::Kind::blob_missing;
}

Task<Status> fetch_inline_from(NodeContext context, SignedManifest manifest, NodeId holder) {
  auto request = chunk_request(manifest.manifest(), 0);
  auto answer = co_await call(context.links, holder, std::move(request), Payload(), inline_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  auto outcome = co_await offload(context.runtime, [&context, &manifest, &answer] {
    return context.store.commit_inline(manifest, answer->payload.view());
  });
  if (!outcome) co_return fail(context.mesh.describe(holder), std::move(outcome.error()));
  co_return Status();
}

Task<Status> fetch_inline(NodeContext context, SignedManifest manifest,
                          std::vector<NodeId> holders) {
  HolderErrors errors;
  for (const auto& holder : holders) {
    auto fetched = co_await fetch_inline_from(context, manifest, holder);
    if (fetched) co_return fetched;
    errors.add(std::move(fetched.error()));
  }
  co_return fail(errors.error());
}

/// The manifest a node answered with, if it is the object's, is signed, and is not of the future.
Result<SignedManifest> check_answer(ByteView wire, const ObjectId& object, std::uint64_t now_ms) {
  auto manifest = SignedManifest::verify(wire);
  if (!manifest && manifest.error().code == Errc::corrupt) {
    return fail(Errc::denied, std::move(manifest.error().what));
  }
  if (!manifest) return manifest;  // newer than this program, say: no lie
  if ((*manifest)->object != object) {
    return fail(Errc::denied, "answered with another object's manifest");
  }
  if (auto on_time = check_not_future((*manifest)->version, now_ms); !on_time) {
    return fail(std::move(on_time.error()));
  }
  return manifest;
}

/// UTC, in ms.
struct Times {
  std::uint64_t now = 0;
  std::uint64_t forget_before = 0;
};

/// What an answer left to do.
struct Taken {
  std::uint64_t bytes = 0;                 ///< that came along and were of use
  std::optional<SignedManifest> to_fetch;  ///< nothing: done
};

/// Verifies, and commits at once if the sealed bytes came along.
Result<Taken> take_answer(Store& store, const Answer<peer::GetManifest::Reply>& answer,
                          const ObjectId& object, const Times& times) {
  auto manifest = check_answer(*answer.message.manifest, object, times.now);
  if (!manifest) return fail(std::move(manifest.error()));
  auto done = commit_without_fetching(store, *manifest, times.forget_before);
  if (!done) return fail(std::move(done.error()));
  if (*done) return Taken{};
  if ((*manifest)->is_inline() && !answer.payload.empty()) {
    auto outcome = store.commit_inline(*manifest, answer.payload.view());
    if (outcome) return Taken{.bytes = answer.payload.size()};
    // Damaged there; another node may have it whole.
    if (outcome.error().code != Errc::corrupt) return fail(std::move(outcome.error()));
  }
  return Taken{.bytes = 0, .to_fetch = std::move(*manifest)};
}

enum class OwnChunks : std::uint8_t { ignored, used };

Task<Status> fetch_bytes(NodeContext context, SignedManifest manifest, std::vector<NodeId> holders,
                         OwnChunks own_chunks) {
  if (manifest->is_inline()) {
    co_return co_await fetch_inline(context, std::move(manifest), std::move(holders));
  }
  auto fetch = std::make_shared<BlobFetch>(context, std::move(manifest), holders);
  if (own_chunks == OwnChunks::used) fetch->use_own_chunks();
  co_return co_await fetch->run();
}

}  // namespace

std::vector<NodeId> likely_holders(const Mesh& mesh, const ObjectId& object, const NodeId& first) {
  std::vector<NodeId> holders{first};
  const auto targets = mesh.targets(partition_of(object.hashed_key));
  for (const auto& node : targets.nodes()) {
    if (node != first && node != mesh.self()) holders.push_back(node);
  }
  return holders;
}

std::uint64_t forget_before_ms(const NodeContext& context) {
  if (!context.mesh.is_clean_everywhere()) return 0;
  const auto now = context.runtime.now_ms();
  return now - std::min(now, static_cast<std::uint64_t>(context.tombstone_keep.count()));
}

Task<Result<std::uint64_t>> fetch_version(NodeContext context, SignedManifest manifest,
                                          std::vector<NodeId> holders) {
  const auto forget_before = forget_before_ms(context);
  auto done = co_await offload(context.runtime, [&context, &manifest, forget_before] {
    return commit_without_fetching(context.store, manifest, forget_before);
  });
  if (!done) co_return fail(std::move(done.error()));
  if (*done) co_return 0;
  const auto size = manifest->size;
  auto fetched =
      co_await fetch_bytes(context, std::move(manifest), std::move(holders), OwnChunks::ignored);
  if (!fetched) co_return fail(std::move(fetched.error()));
  co_return size;
}

Task<Status> refetch_version(NodeContext context, SignedManifest manifest,
                             std::vector<NodeId> holders) {
  if (manifest->is_tombstone()) co_return fail(Errc::invalid, "a tombstone has no bytes");
  co_return co_await fetch_bytes(context, std::move(manifest), std::move(holders), OwnChunks::used);
}

Task<Result<std::uint64_t>> fetch_latest(NodeContext context, ObjectId object, NodeId holder) {
  peer::GetManifest request{
      .owner = object.owner, .hashed_key = object.hashed_key, .with_inline = true};
  auto answer =
      co_await call(context.links, holder, std::move(request), Payload(), manifest_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  if (!answer->message.manifest) {
    co_return fail(Errc::not_found, context.mesh.describe(holder) + ": has nothing of the object");
  }
  const Times times{.now = context.runtime.now_ms(), .forget_before = forget_before_ms(context)};
  auto taken = co_await offload(context.runtime, [&context, &answer, &object, &times] {
    return take_answer(context.store, *answer, object, times);
  });
  if (!taken) co_return fail(context.mesh.describe(holder), std::move(taken.error()));
  if (!taken->to_fetch) co_return taken->bytes;
  auto holders = likely_holders(context.mesh, object, holder);
  co_return co_await fetch_version(context, std::move(*taken->to_fetch), std::move(holders));
}

}  // namespace zerodb
