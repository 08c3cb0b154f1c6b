#include "node/blob_fetch.hpp"

#include <algorithm>

#include "node/holder_errors.hpp"
#include "node/leaf_table.hpp"

namespace zerodb {

namespace {

constexpr Milliseconds chunk_timeout{20'000};
constexpr unsigned window_chunks = 8;

}  // namespace

BlobFetch::BlobFetch(NodeContext context, SignedManifest manifest,
                     const std::vector<NodeId>& holders)
    : context_(context), manifest_(std::move(manifest)), worker_ended_(context.runtime) {
  for (const auto& node : holders)
    holders_.push_back({.node = node});
}

Task<Status> BlobFetch::run() {
  const auto self = shared_from_this();
  if (auto space = co_await check_space(); !space) co_return fail(std::move(space.error()));
  if (auto leaves = co_await fetch_leaves(); !leaves) co_return fail(std::move(leaves.error()));
  const UploadSpec spec{.binding = manifest().binding(), .chunk_bytes = manifest().chunk_bytes};
  auto upload = co_await offload(context_.runtime,
                                 [this, &spec] { return context_.store.begin_upload(spec); });
  if (!upload) co_return fail(std::move(upload.error()));
  upload_ = std::move(*upload);
  auto status = co_await fetch_chunks();
  if (status) status = co_await commit();
  // What is not committed leaves a file to remove: not on this thread.
  co_await context_.runtime.run_blocking([this] { upload_.reset(); });
  co_return status;
}

/// A size that is signed is still only somebody's word: no more leaves than could be needed.
Task<Status> BlobFetch::check_space() {
  const auto stats = co_await offload(context_.runtime, [this] { return context_.store.stats(); });
  if (manifest().size <= stats.free_bytes) co_return Status();
  co_return fail(Errc::full, "fetch: " + std::to_string(manifest().size) + " bytes, but only " +
                                 std::to_string(stats.free_bytes) + " are free");
}

// --------------------------------------------------------------------------------------- leaves

/// The table in the own, damaged file, if that is whole.
Task<bool> BlobFetch::take_own_leaves() {
  auto own = co_await offload(context_.runtime, [this] {
    return context_.store.read_leaves(manifest_, 0, manifest().chunk_count);
  });
  if (!own || own->size() != manifest().chunk_count) co_return false;
  leaves_ = std::move(*own);
  const auto root = co_await offload(context_.runtime, [this] { return root_of(leaves_); });
  co_return root == manifest().root;
}

Task<Status> BlobFetch::fetch_leaves() {
  if (use_own_) {
    const bool taken = co_await take_own_leaves();
    if (taken) co_return Status();
  }
  HolderErrors errors;
  for (std::size_t i = 0; i < holders_.size(); ++i) {
    auto leaves = co_await leaves_from(holders_[i].node);
    if (!leaves) {
      holders_[i].failures = failures_max;
      errors.add(std::move(leaves.error()));
      continue;
    }
    leaves_ = std::move(*leaves);
    const auto root = co_await offload(context_.runtime, [this] { return root_of(leaves_); });
    if (root == manifest().root) co_return Status();
    holders_[i].lied = true;
    errors.add({Errc::corrupt, context_.mesh.describe(holders_[i].node) +
                                   ": its leaves do not give the signed root"});
  }
  co_return fail(errors.error());
}

Task<Result<std::vector<Leaf>>> BlobFetch::leaves_from(NodeId node) {
  std::vector<Leaf> leaves;
  while (leaves.size() < manifest().chunk_count) {
    const auto page =
        co_await ask_for_leaves(context_, node, manifest(), leaves.size() / leaves_a_page);
    if (!page) co_return fail(page.error());
    leaves.insert(leaves.end(), page->begin(), page->end());
  }
  co_return leaves;
}

// --------------------------------------------------------------------------------------- chunks

/// Told even when the worker is unwound, so that run() never waits for one that is gone.
struct BlobFetch::WorkerEnd {
  BlobFetch& fetch;
  ~WorkerEnd() {
    --fetch.workers_;
    fetch.worker_ended_.notify();
  }
};

Task<Status> BlobFetch::fetch_chunks() {
  workers_ = static_cast<unsigned>(std::min<std::uint64_t>(window_chunks, manifest().chunk_count));
  for (auto left = workers_; left > 0; --left)
    spawn(context_.runtime, work(shared_from_this()));
  while (workers_ > 0)
    co_await worker_ended_.wait();
  if (outcome_ && chunks_open_ > 0) co_return fail(Errc::io, "fetch: stopped half-way");
  co_return outcome_;
}

Task<void> BlobFetch::work(std::shared_ptr<BlobFetch> self) {
  const WorkerEnd end{*self};
  while (self->outcome_ && self->next_index_ < self->manifest().chunk_count) {
    const auto index = self->next_index_++;
    ++self->chunks_open_;
    auto fetched = co_await self->fetch_chunk(index);
    --self->chunks_open_;
    if (!fetched && self->outcome_) self->outcome_ = std::move(fetched);
  }
}

Task<bool> BlobFetch::take_own_chunk(std::uint64_t index) {
  co_return co_await offload(context_.runtime, [this, index] {
    const auto own = context_.store.read_chunk(manifest_, index);
    if (!own || leaf_of(own->view()) != leaves_[index]) return false;
    return upload_->write(index, own->view()).has_value();
  });
}

Task<Status> BlobFetch::fetch_chunk(std::uint64_t index) {
  if (use_own_) {
    const bool taken = co_await take_own_chunk(index);
    if (taken) co_return Status();
  }
  HolderErrors errors;
  // Those that failed are asked, too, when all others have: their damage may be elsewhere.
  for (const bool only_good : {true, false}) {
    for (std::size_t i = 0; i < holders_.size(); ++i) {
      if (only_good && !holders_[i].is_good()) continue;
      auto chunk = co_await ask_for_chunk(index, i);
      if (!chunk) {
        errors.add(std::move(chunk.error()));
        continue;
      }
      const Payload& sealed = *chunk;
      auto leaf = co_await offload(context_.runtime, [this, index, &sealed] {
        return upload_->write(index, sealed.view());
      });
      if (!leaf) co_return fail(std::move(leaf.error()));
      if (*leaf == leaves_[index]) co_return Status();
      holders_[i].lied = true;
      errors.add({Errc::corrupt, context_.mesh.describe(holders_[i].node) + ": chunk " +
                                     std::to_string(index) + " is damaged there"});
    }
  }
  co_return fail(errors.error());
}

/// A payload of the right size, or why that holder has none.
Task<Result<Payload>> BlobFetch::ask_for_chunk(std::uint64_t index, std::size_t holder) {
  const auto node = holders_[holder].node;
  auto request = chunk_request(manifest(), index);
  auto answer = co_await call(context_.links, node, std::move(request), Payload(), chunk_timeout);
  if (!answer) {
    const bool never = answer.error().code == Errc::not_found;
    holders_[holder].failures = never ? failures_max : holders_[holder].failures + 1;
    co_return fail(std::move(answer.error()));
  }
  holders_[holder].failures = 0;
  const auto expected =
      chunk_size_at(index, manifest().size, manifest().chunk_bytes) + chunk_overhead_bytes;
  if (answer->payload.size() != expected) {
    holders_[holder].lied = true;
    co_return fail(Errc::corrupt, context_.mesh.describe(node) + ": chunk " +
                                      std::to_string(index) + " has the wrong size there");
  }
  co_return std::move(answer->payload);
}

Task<Status> BlobFetch::commit() {
  auto outcome = co_await offload(
      context_.runtime, [this] { return context_.store.commit_upload(*upload_, manifest_); });
  if (!outcome) co_return fail(std::move(outcome.error()));
  co_return Status();  // stored, or a later version arrived meanwhile: both are done
}

}  // namespace zerodb
