#include "node/chunk_sink.hpp"

#include "node/condition.hpp"
#include "node/receipts.hpp"
#include "node/wakeup.hpp"

namespace zerodb {
namespace {

constexpr int busy_retries_max = 8;
constexpr Milliseconds busy_pause{20};
constexpr std::uint64_t silent_max_ms = 30'000;  // a node forgets a transfer after two minutes
constexpr std::uint64_t commit_bytes_per_ms = 20'000;  // the slowest disk a commit waits for

tl::unexpected<Error> let_go() {
  return fail(Errc::busy, "it was let go");
}

// ----------------------------------------------------------------------------- the own store

class LocalSink : public ChunkSink {
 public:
  LocalSink(CorePtr core, const ChunkBinding& binding)
      : core_(std::move(core)), binding_(binding) {}

  Task<Status> open() override;
  Task<Result<std::optional<Leaf>>> write(std::uint64_t index, Payload sealed) override;
  Task<CommitResult> commit(SignedPtr version, CommitTerms terms) override;
  void abandon() override;

 private:
  static Task<void> drop(CorePtr core, std::shared_ptr<Upload> upload);

  CorePtr core_;
  ChunkBinding binding_;
  std::shared_ptr<Upload> upload_;  ///< shared with the writes under way on other threads
  bool used_up_ = false;
};

Task<Status> LocalSink::open() {
  auto work = [&] { return core_->context.store.begin_upload({.binding = binding_}); };
  auto upload = co_await offload(core_->context.runtime, work);
  if (!upload) co_return fail(std::move(upload.error()));
  upload_ = std::move(*upload);
  co_return Status{};
}

Task<Result<std::optional<Leaf>>> LocalSink::write(std::uint64_t index, Payload sealed) {
  const auto upload = upload_;
  if (!upload) co_return let_go();
  auto work = [&] { return upload->write(index, sealed.view()); };
  auto leaf = co_await offload(core_->context.runtime, work);
  if (!leaf) co_return fail(std::move(leaf.error()));
  co_return std::optional<Leaf>(*leaf);
}

Task<CommitResult> LocalSink::commit(SignedPtr version, CommitTerms terms) {
  const auto upload = upload_;
  if (!upload) co_return let_go();
  if (auto can = check_may_commit(core_->context, terms.expected); !can)
    co_return fail(can.error());
  auto& store = core_->context.store;
  auto work = [&] {
    return used_up_ ? store.commit_version(*version, terms.expected)
                    : store.commit_upload(*upload, *version, terms.expected);
  };
  auto outcome = co_await offload(core_->context.runtime, work);
  if (outcome && outcome->kind == CommitOutcome::Kind::stored) used_up_ = true;
  auto committed = to_committed(std::move(outcome));
  if (terms.receipt && committed && committed->stored) {
    committed->receipt = co_await make_receipt(core_->context, version->wire());
  }
  co_return committed;
}

void LocalSink::abandon() {
  if (!upload_) return;
  spawn(core_->context.runtime, drop(core_, std::exchange(upload_, nullptr)));
}

/// Removing a large file takes a while.
Task<void> LocalSink::drop(CorePtr core, std::shared_ptr<Upload> upload) {
  auto work = [&upload] { upload.reset(); };
  co_await core->context.runtime.run_blocking(work);
}

// ----------------------------------------------------------------------------- another node

class RemoteSink : public ChunkSink {
 public:
  RemoteSink(CorePtr core, const NodeId& node, const ChunkBinding& binding)
      : core_(std::move(core)), node_(node), binding_(binding), room_(core_->context.runtime) {
    core_->context.runtime.random(transfer_.mutable_view());
  }

  Task<Status> open() override;
  Task<Result<std::optional<Leaf>>> write(std::uint64_t index, Payload sealed) override;
  void tend() override;
  Task<CommitResult> commit(SignedPtr version, CommitTerms terms) override;
  void abandon() override;

 private:
  template <class Request>
  Task<Result<Answer<typename Request::Reply>>> ask(Request request, Payload payload,
                                                    Milliseconds timeout);
  peer::PutOpen opening() const;
  static Task<void> abort(CorePtr core, NodeId node, TransferId transfer);
  static Task<void> open_again(CorePtr core, NodeId node, peer::PutOpen request);
  /// With nothing on its way one chunk may always go: its answer brings new credit.
  bool has_room(std::size_t bytes) const {
    return unanswered_ == 0 || unanswered_ + bytes <= credit_;
  }

  CorePtr core_;
  NodeId node_;
  ChunkBinding binding_;
  TransferId transfer_;
  Wakeup room_;
  std::uint64_t credit_ = 0;      ///< bytes the node takes beyond those answered
  std::uint64_t unanswered_ = 0;  ///< bytes
  std::uint64_t spoke_ms_ = 0;    ///< steady
  bool abandoned_ = false;
};

/// A node that is busy is asked again, for a while.
template <class Request>
Task<Result<Answer<typename Request::Reply>>> RemoteSink::ask(Request request, Payload payload,
                                                              Milliseconds timeout) {
  auto pause = busy_pause;
  for (int i = 0;; ++i) {
    spoke_ms_ = core_->context.runtime.steady_ms();
    auto answer = co_await call(core_->context.links, node_, request, payload, timeout);
    const bool busy = !answer && answer.error().code == Errc::busy;
    if (!busy || abandoned_ || i == busy_retries_max) co_return answer;
    co_await core_->context.runtime.sleep(pause);
    if (abandoned_) co_return answer;  // nobody would end what this opens
    pause *= 2;
  }
}

peer::PutOpen RemoteSink::opening() const {
  return {.transfer = transfer_,
          .owner = binding_.object.owner,
          .hashed_key = binding_.object.hashed_key,
          .blob_id = binding_.blob_id,
          .chunk_bytes = chunk_bytes_max};
}

void RemoteSink::tend() {
  auto& runtime = core_->context.runtime;
  const auto now_ms = runtime.steady_ms();
  if (abandoned_ || unanswered_ > 0 || now_ms - spoke_ms_ < silent_max_ms) return;
  spoke_ms_ = now_ms;
  auto request = opening();
  request.again = true;
  spawn(runtime, open_again(core_, node_, std::move(request)));
}

/// What went wrong the next chunk is told, too.
Task<void> RemoteSink::open_again(CorePtr core, NodeId node, peer::PutOpen request) {
  std::ignore = co_await call(core->context.links, node, std::move(request), Payload{},
                              core->options.call_timeout);
}

Task<Status> RemoteSink::open() {
  auto request = opening();
  auto answer = co_await ask(std::move(request), Payload{}, core_->options.call_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  credit_ = answer->message.bytes;
  co_return Status{};
}

Task<Result<std::optional<Leaf>>> RemoteSink::write(std::uint64_t index, Payload sealed) {
  const auto bytes = sealed.size();
  while (!abandoned_ && !has_room(bytes))
    co_await room_.wait();
  if (abandoned_) co_return let_go();
  unanswered_ += bytes;
  peer::PutChunk request{.transfer = transfer_, .index = index};
  auto answer = co_await ask(std::move(request), std::move(sealed), core_->options.chunk_timeout);
  unanswered_ -= bytes;
  if (answer) credit_ = answer->message.bytes;
  room_.notify();
  if (!answer) co_return fail(std::move(answer.error()));
  co_return std::optional<Leaf>{};
}

Task<CommitResult> RemoteSink::commit(SignedPtr version, CommitTerms terms) {
  if (abandoned_) co_return let_go();
  const auto for_the_disk = version->manifest().size / commit_bytes_per_ms;
  const auto timeout = core_->options.chunk_timeout + Milliseconds(for_the_disk);
  peer::PutCommit request{
      .transfer = transfer_, .manifest = version->wire(), .expected = as_field(terms.expected)};
  if (terms.receipt) request.receipt = true;
  auto answer = co_await ask(std::move(request), Payload{}, timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return std::move(answer->message);
}

void RemoteSink::abandon() {
  if (std::exchange(abandoned_, true)) return;
  room_.notify();
  spawn(core_->context.runtime, abort(core_, node_, transfer_));
}

/// A node that does not hear of it drops a silent transfer after a while.
Task<void> RemoteSink::abort(CorePtr core, NodeId node, TransferId transfer) {
  peer::PutAbort request{.transfer = transfer};
  auto answer = co_await call(core->context.links, node, std::move(request), Payload{},
                              core->options.call_timeout);
  static_cast<void>(answer);
}

}  // namespace

std::shared_ptr<ChunkSink> make_local_sink(CorePtr core, const ChunkBinding& binding) {
  return std::make_shared<LocalSink>(std::move(core), binding);
}

std::shared_ptr<ChunkSink> make_remote_sink(CorePtr core, const NodeId& node,
                                            const ChunkBinding& binding) {
  return std::make_shared<RemoteSink>(std::move(core), node, binding);
}

}  // namespace zerodb
