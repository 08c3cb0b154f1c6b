#include "node/commit_queue.hpp"

#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <utility>

namespace zerodb {
namespace {

constexpr std::size_t commit_batch_max = 64;
/// What a socket of this node already holds joins the batch after so many turns of the executor.
/// With nothing to do there, they take no time.
constexpr int turns_to_arrive = 4;

}  // namespace

struct CommitQueue::Job {
  Job(Runtime& runtime, MakeManifest make, Payload bytes, Expected condition)
      : make_manifest(std::move(make)),
        sealed(std::move(bytes)),
        expected(condition),
        done(runtime) {}

  MakeManifest make_manifest;
  Payload sealed;
  Expected expected;
  std::optional<Result<CommitOutcome>> outcome;
  Wakeup done;
};

Task<Result<CommitOutcome>> CommitQueue::commit(MakeManifest make_manifest, Payload sealed,
                                                Expected expected) {
  const auto state = state_;
  const auto job =
      std::make_shared<Job>(state->runtime, std::move(make_manifest), std::move(sealed), expected);
  state->waiting.push_back(job);
  if (!std::exchange(state->writing, true)) spawn(state->runtime, write(state));
  while (!job->outcome)
    co_await job->done.wait();
  co_return std::move(*job->outcome);
}

Task<void> CommitQueue::write(std::shared_ptr<State> state) {
  while (!state->waiting.empty()) {
    for (int turn = 0; turn < turns_to_arrive; ++turn)
      co_await asio::post(state->runtime.executor(), asio::use_awaitable);
    std::vector<std::shared_ptr<Job>> batch;
    while (!state->waiting.empty() && batch.size() < commit_batch_max) {
      batch.push_back(std::move(state->waiting.front()));
      state->waiting.pop_front();
    }
    const auto work = [&] { commit_all(state->store, batch); };
    co_await state->runtime.run_blocking(work);
    for (const auto& job : batch)
      job->done.notify();
  }
  state->writing = false;
}

void CommitQueue::commit_all(Store& store, const std::vector<std::shared_ptr<Job>>& batch) {
  std::vector<std::shared_ptr<const SignedManifest>> manifests;
  std::vector<Job*> jobs;
  std::vector<InlineCommit> commits;
  for (const auto& job : batch) {
    auto manifest = job->make_manifest();
    if (!manifest) {
      job->outcome = fail(std::move(manifest.error()));
      continue;
    }
    commits.push_back(
        {.manifest = **manifest, .sealed = job->sealed.view(), .expected = job->expected});
    manifests.push_back(std::move(*manifest));
    jobs.push_back(job.get());
  }
  auto outcomes = store.commit_inline_all(commits);
  for (std::size_t i = 0; i < jobs.size(); ++i)
    jobs[i]->outcome = std::move(outcomes[i]);
}

}  // namespace zerodb
