#include "node/replica.hpp"

#include <algorithm>
#include <functional>

#include "node/commit.hpp"
#include "node/digest_groups.hpp"
#include "node/entry_codec.hpp"
#include "node/partition_parts.hpp"
#include "node/prove.hpp"
#include "node/receipts.hpp"
#include "node/recent_versions.hpp"
#include "node/replica_work.hpp"

namespace zerodb {

namespace {

/// Broadcasts of them come within moments.
constexpr std::size_t taken_max = 4'096;

bool is_same(const UploadSpec& one, const UploadSpec& other) {
  return one.binding.object == other.binding.object &&
         one.binding.blob_id == other.binding.blob_id && one.chunk_bytes == other.chunk_bytes;
}

bool is_stored(const Result<CommitOutcome>& outcome) {
  return outcome && outcome->kind == CommitOutcome::Kind::stored;
}

Result<PeerAnswer> ok(Payload payload = {}) {
  return PeerAnswer{peer::Ok{}, std::move(payload)};
}

Status check_partitions(const std::vector<std::uint32_t>& partitions) {
  if (partitions.empty() || partitions.back() >= partition_count) {
    return fail(Errc::invalid, "get_entries: partitions must be some of 0 to " +
                                   std::to_string(partition_count - 1));
  }
  if (std::ranges::adjacent_find(partitions, std::greater_equal<>()) != partitions.end()) {
    return fail(Errc::invalid, "get_entries: partitions must ascend");
  }
  return {};
}

/// An upload that is dropped removes its file: not on the network thread.
Task<void> drop_transfers(Runtime& runtime, std::vector<std::shared_ptr<Transfer>> transfers) {
  co_await runtime.run_blocking([&transfers] { transfers.clear(); });
}

}  // namespace

class Replica::Impl {
 public:
  Impl(NodeContext context, const ReplicaOptions& options)
      : context_(context),
        options_(options),
        transfers_(options),
        commits_(context.runtime, context.store) {}

  NodeContext& context() { return context_; }
  /// What nobody could have here is no sign of damage, whoever asks for it.
  template <class Request>
  void note_damage(const Request& asked, const Result<PeerAnswer>& answer) const {
    if (answer || !options_.on_damage || answer.error().code != Errc::corrupt) return;
    options_.on_damage({.object = {.owner = asked.owner, .hashed_key = asked.hashed_key},
                        .blob_id = asked.blob_id});
  }
  const RecentVersions& taken() const { return taken_; }
  std::uint64_t now_ms() { return context_.runtime.now_ms(); }

  void drop_idle_transfers() {
    auto idle = transfers_.take_idle(context_.runtime.steady_ms());
    if (!idle.empty()) spawn(context_.runtime, drop_transfers(context_.runtime, std::move(idle)));
  }

  Task<Result<PeerAnswer>> put_inline(peer::PutInline request, Payload payload);
  Task<Result<PeerAnswer>> open(NodeId from, peer::PutOpen request);
  Task<Result<PeerAnswer>> take_chunk(NodeId from, peer::PutChunk request, Payload payload);
  Task<Result<PeerAnswer>> commit(NodeId from, peer::PutCommit request);
  Task<Result<PeerAnswer>> abort(NodeId from, TransferId id);
  Task<Result<PeerAnswer>> prove(NodeId from, peer::Prove request);

 private:
  /// The answer to a commit, signed if that was asked for.
  Task<Result<PeerAnswer>> answer_to(Result<CommitOutcome> outcome, Bytes manifest, bool receipt);
  Result<PeerAnswer> credit() const {
    return PeerAnswer{peer::Credit{transfers_.credit_bytes()}, Payload()};
  }
  /// The transfer, noted as heard of now.
  Result<std::shared_ptr<Transfer>> hear(const TransferId& id, const NodeId& from);
  Result<PeerAnswer> found_again(const Transfer& transfer, const UploadSpec& spec) const;
  Status check_room(const Transfer& transfer, const Payload& payload) const;

  NodeContext context_;
  ReplicaOptions options_;
  Transfers transfers_;
  CommitQueue commits_;
  RecentVersions taken_{taken_max};
  std::map<NodeId, std::size_t> proving_;  ///< proofs under way, by who asked
};

Task<Result<PeerAnswer>> Replica::Impl::answer_to(Result<CommitOutcome> outcome, Bytes manifest,
                                                  bool receipt) {
  auto committed = to_committed(std::move(outcome));
  if (!committed) co_return fail(std::move(committed.error()));
  if (receipt && committed->stored) {
    committed->receipt = co_await make_receipt(context_, std::move(manifest));
  }
  co_return PeerAnswer{std::move(*committed), Payload()};
}

Result<std::shared_ptr<Transfer>> Replica::Impl::hear(const TransferId& id, const NodeId& from) {
  auto transfer = transfers_.find(id, from);
  if (transfer) (*transfer)->heard_ms = context_.runtime.steady_ms();
  return transfer;
}

Result<PeerAnswer> Replica::Impl::found_again(const Transfer& transfer,
                                              const UploadSpec& spec) const {
  if (!is_same(transfer.spec, spec)) {
    return fail(Errc::invalid, "put_open: the transfer was opened for another blob");
  }
  if (!transfer.upload) return fail(Errc::busy, "put_open: still being opened; try again");
  return credit();
}

Task<Result<PeerAnswer>> Replica::Impl::put_inline(peer::PutInline request, Payload payload) {
  const auto now = now_ms();
  const auto expected = replica_work::expected_in(request.expected);
  if (auto can = check_may_commit(context_, expected); !can) co_return fail(std::move(can.error()));
  auto check = [&request, &payload, now] {
    return replica_work::check_inline(request.manifest, payload, now);
  };
  auto outcome = co_await commits_.commit(check, payload, expected);
  if (is_stored(outcome)) taken_.add(request.manifest);
  co_return co_await answer_to(std::move(outcome), std::move(request.manifest),
                               request.receipt.value_or(false));
}

Task<Result<PeerAnswer>> Replica::Impl::open(NodeId from, peer::PutOpen request) {
  const UploadSpec spec{
      .binding = {.object = {.owner = request.owner, .hashed_key = request.hashed_key},
                  .blob_id = request.blob_id},
      .chunk_bytes = request.chunk_bytes};
  if (spec.chunk_bytes != chunk_bytes_max) {
    co_return fail(Errc::invalid, "put_open: chunks of " + std::to_string(spec.chunk_bytes) +
                                      " bytes, where manifests have " +
                                      std::to_string(chunk_bytes_max));
  }
  auto known = hear(request.transfer, from);
  if (known) co_return found_again(**known, spec);
  const bool may_be_new = known.error().code == Errc::not_found && !request.again.value_or(false);
  if (!may_be_new) co_return fail(std::move(known.error()));
  auto added = transfers_.add(request.transfer, from, spec, context_.runtime.steady_ms());
  if (!added) co_return fail(std::move(added.error()));
  const std::shared_ptr<Transfer> transfer = *added;
  auto upload = co_await offload(context_.runtime,
                                 [this, &spec] { return context_.store.begin_upload(spec); });
  if (!upload) {
    transfers_.remove(request.transfer, transfer);
    co_return fail(std::move(upload.error()));
  }
  transfer->upload = std::move(*upload);
  co_return credit();
}

Status Replica::Impl::check_room(const Transfer& transfer, const Payload& payload) const {
  const std::size_t full = transfer.spec.chunk_bytes + chunk_overhead_bytes;
  if (payload.size() < chunk_overhead_bytes || payload.size() > full) {
    return fail(Errc::invalid, "put_chunk: " + std::to_string(payload.size()) +
                                   " bytes are no sealed chunk of this transfer");
  }
  if (!transfer.upload) return fail(Errc::busy, "put_chunk: still being opened; try again");
  if (transfer.committing) return fail(Errc::busy, "put_chunk: being committed");
  const auto most = std::max<std::uint64_t>(options_.transfer_credit_bytes, full);
  if (transfer.in_flight_bytes + payload.size() > most) {
    return fail(Errc::busy,
                "put_chunk: more bytes in flight than the credit of " + std::to_string(most));
  }
  return {};
}

Task<Result<PeerAnswer>> Replica::Impl::take_chunk(NodeId from, peer::PutChunk request,
                                                   Payload payload) {
  auto found = hear(request.transfer, from);
  if (!found) co_return fail(std::move(found.error()));
  const std::shared_ptr<Transfer> transfer = *found;
  if (auto room = check_room(*transfer, payload); !room) co_return fail(std::move(room.error()));
  transfer->in_flight_bytes += payload.size();
  auto written = co_await offload(context_.runtime, [&transfer, &request, &payload] {
    return transfer->upload->write(request.index, payload.view());
  });
  transfer->in_flight_bytes -= payload.size();
  transfer->heard_ms = context_.runtime.steady_ms();
  if (!written) co_return fail(std::move(written.error()));
  co_return credit();
}

Task<Result<PeerAnswer>> Replica::Impl::commit(NodeId from, peer::PutCommit request) {
  const auto expected = replica_work::expected_in(request.expected);
  if (auto can = check_may_commit(context_, expected); !can) co_return fail(std::move(can.error()));
  auto found = hear(request.transfer, from);
  const auto now = now_ms();
  const bool receipt = request.receipt.value_or(false);
  if (!found && found.error().code == Errc::not_found) {
    auto outcome = co_await offload(context_.runtime, [this, &request, now] {
      return replica_work::commit_kept_blob(context_.store, request, now);
    });
    co_return co_await answer_to(std::move(outcome), std::move(request.manifest), receipt);
  }
  if (!found) co_return fail(std::move(found.error()));
  const std::shared_ptr<Transfer> transfer = *found;
  if (transfer->is_busy()) co_return fail(Errc::busy, "put_commit: chunks are still being written");
  transfer->committing = true;
  auto outcome = co_await offload(context_.runtime, [this, &transfer, &request, now] {
    return replica_work::commit_transfer(context_.store, *transfer, request, now);
  });
  transfer->committing = false;
  transfer->heard_ms = context_.runtime.steady_ms();
  // A superseded transfer stays: the same blob may come again under a later version.
  if (is_stored(outcome)) {
    transfers_.remove(request.transfer, transfer);
    taken_.add(request.manifest);
  }
  co_return co_await answer_to(std::move(outcome), std::move(request.manifest), receipt);
}

Task<Result<PeerAnswer>> Replica::Impl::abort(NodeId from, TransferId id) {
  auto found = transfers_.find(id, from);
  if (!found && found.error().code != Errc::not_found) co_return fail(std::move(found.error()));
  if (found) {
    transfers_.remove(id, *found);
    std::vector<std::shared_ptr<Transfer>> dropped;
    dropped.push_back(std::move(*found));
    co_await drop_transfers(context_.runtime, std::move(dropped));
  }
  co_return ok();
}

/// Bounded, so that nobody keeps this node's disk busy with it.
Task<Result<PeerAnswer>> Replica::Impl::prove(NodeId from, peer::Prove request) {
  std::size_t all = 0;
  for (const auto& [asker, count] : proving_)
    all += count;
  const auto of_asker = proving_.find(from);
  const auto its = of_asker == proving_.end() ? 0 : of_asker->second;
  if (all >= options_.proofs_max || its >= options_.proofs_per_asker_max) {
    co_return fail(Errc::busy, "prove: too many proofs are under way; try again");
  }
  proving_[from] += 1;
  const auto asked = request;
  auto answer = co_await prove_here(context_, std::move(request));
  if (--proving_[from] == 0) proving_.erase(from);
  note_damage(asked, answer);
  co_return answer;
}

// --------------------------------------------------------------------------------------- facade

Replica::Replica(NodeContext context, ReplicaOptions options)
    : impl_(std::make_unique<Impl>(context, options)) {}
Replica::~Replica() = default;

Task<Result<PeerAnswer>> Replica::put_inline(NodeId, peer::PutInline request, Payload payload) {
  return impl_->put_inline(std::move(request), std::move(payload));
}

Task<Result<PeerAnswer>> Replica::put_open(NodeId from, peer::PutOpen request) {
  return impl_->open(from, std::move(request));
}

Task<Result<PeerAnswer>> Replica::put_chunk(NodeId from, peer::PutChunk request, Payload payload) {
  return impl_->take_chunk(from, std::move(request), std::move(payload));
}

Task<Result<PeerAnswer>> Replica::put_commit(NodeId from, peer::PutCommit request) {
  return impl_->commit(from, std::move(request));
}

Task<Result<PeerAnswer>> Replica::put_abort(NodeId from, peer::PutAbort request) {
  return impl_->abort(from, request.transfer);
}

Task<Result<PeerAnswer>> Replica::get_manifest(NodeId, peer::GetManifest request) {
  auto& context = impl_->context();
  // Asked before the store is: what arrives meanwhile can only make the answer better.
  const bool whole = context.mesh.is_whole();
  co_return co_await offload(context.runtime, [&context, &request, whole] {
    return replica_work::read_manifest(context.store, request, whole);
  });
}

Task<Result<PeerAnswer>> Replica::get_chunk(NodeId, peer::GetChunk request) {
  auto& context = impl_->context();
  auto answer = co_await offload(context.runtime, [&context, &request] {
    return replica_work::read_chunk(context.store, request);
  });
  impl_->note_damage(request, answer);
  co_return answer;
}

Task<Result<PeerAnswer>> Replica::get_leaves(NodeId, peer::GetLeaves request) {
  auto& context = impl_->context();
  if (request.count == 0) co_return fail(Errc::invalid, "get_leaves: asks for none");
  auto answer = co_await offload(context.runtime, [&context, &request] {
    return replica_work::read_leaves(context.store, request);
  });
  impl_->note_damage(request, answer);
  co_return answer;
}

Task<Result<PeerAnswer>> Replica::prove(NodeId from, peer::Prove request) {
  return impl_->prove(from, std::move(request));
}

/// From memory: a list that only asks what changed does not wait behind work with the disk.
Task<Result<PeerAnswer>> Replica::get_digests(NodeId, peer::GetDigests request, Payload payload) {
  auto& store = impl_->context().store;
  const auto digests = store.digests();
  if (payload.empty()) {
    co_return ok(Payload::take(request.with_sizes ? encode_sized_digests(digests, store.sizes())
                                                  : encode_digests(digests)));
  }
  if (request.with_sizes || payload.size() != group_sums_bytes) {
    co_return fail(Errc::invalid, "get_digests: a payload of " + std::to_string(payload.size()) +
                                      " bytes, expected none or " +
                                      std::to_string(group_sums_bytes) + " and no sizes");
  }
  co_return ok(Payload::take(encode_differing(digests, payload.view())));
}

Task<Result<PeerAnswer>> Replica::get_entries(NodeId, peer::GetEntries request, Payload payload) {
  if (auto right = check_partitions(request.partitions); !right) {
    co_return fail(std::move(right.error()));
  }
  if (!payload.empty() && payload.size() != request.partitions.size() * parts_bytes) {
    co_return fail(Errc::invalid, "get_entries: a payload of " + std::to_string(payload.size()) +
                                      " bytes, expected none or " + std::to_string(parts_bytes) +
                                      " for each partition");
  }
  std::optional<ObjectId> after;
  if (request.after) {
    auto position = decode_position(*request.after);
    if (!position) co_return fail(std::move(position.error()));
    after = *position;
  }
  auto& context = impl_->context();
  co_return co_await offload(context.runtime, [&context, &request, &payload, &after] {
    return replica_work::read_entries(context.store, request, payload.view(), after);
  });
}

bool Replica::has_just_taken(ByteView manifest) const {
  return impl_->taken().contains(manifest);
}

void Replica::drop_idle_transfers() {
  impl_->drop_idle_transfers();
}

}  // namespace zerodb
