#include "node/hand_over.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <optional>

#include "node/confirm.hpp"

namespace zerodb {

namespace {

constexpr std::size_t page_entries = 256;

bool is_held(Held held) {
  return held == Held::held;
}

/// Ascending, from the first behind `failed` on: one that fails each time stands in nobody's way.
std::vector<Partition> beginning_after(std::optional<Partition> failed,
                                       std::vector<Partition> partitions) {
  if (failed) std::ranges::rotate(partitions, std::ranges::upper_bound(partitions, *failed));
  return partitions;
}

}  // namespace

Misplaced misplaced_in(const std::vector<PartitionSize>& sizes, const Mesh& mesh) {
  Misplaced misplaced;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto partition = static_cast<Partition>(i);
    if (sizes[i].is_empty() || mesh.is_placed_here(partition)) continue;
    misplaced.partitions.push_back(partition);
    misplaced.bytes += sizes[i].bytes;
  }
  return misplaced;
}

class HandOver::Impl {
 public:
  Impl(NodeContext context, HandOverOptions options) : context_(context), options_(options) {}

  const NodeContext& context() const { return context_; }
  void stop() { stopped_ = true; }
  static Task<void> run(std::shared_ptr<Impl> self);

 private:
  bool may_drop() const { return !stopped_ && context_.mesh.is_settled_by_all(); }
  Task<Misplaced> look() const;
  static Task<Result<std::uint64_t>> hand_over(std::shared_ptr<Impl> self, Partition partition);

  NodeContext context_;
  HandOverOptions options_;
  bool stopped_ = false;
  std::optional<Partition> failed_;  ///< the latest
};

Task<Misplaced> HandOver::Impl::look() const {
  const auto sizes = co_await offload(context_.runtime, [this] { return context_.store.sizes(); });
  co_return misplaced_in(sizes, context_.mesh);
}

/// Looks as long as the node runs, less often while others do not confirm.
Task<void> HandOver::Impl::run(std::shared_ptr<Impl> self) {
  auto pause = self->options_.interval;
  while (!self->stopped_) {
    co_await self->context_.runtime.sleep(pause);
    if (self->stopped_) co_return;
    const auto misplaced = co_await self->look();
    self->context_.mesh.set_clean(misplaced.partitions.empty());
    std::uint64_t dropped = 0;
    const auto partitions = beginning_after(self->failed_, misplaced.partitions);
    for (const auto partition : partitions) {
      if (!self->may_drop()) break;
      const auto gone = co_await hand_over(self, partition);
      if (!gone) {
        spdlog::debug("hand-over of partition {}: {}", partition, gone.error().what);
        self->failed_ = partition;
        break;
      }
      dropped += *gone;
    }
    const bool stuck = !misplaced.partitions.empty() && dropped == 0;
    pause = stuck ? std::min(2 * pause, self->options_.pause_max) : self->options_.interval;
    if (dropped > 0) spdlog::info("handed over {} versions placed elsewhere", dropped);
  }
}

/// One partition, page by page. Answers how many versions were dropped.
Task<Result<std::uint64_t>> HandOver::Impl::hand_over(std::shared_ptr<Impl> self,
                                                      Partition partition) {
  auto& context = self->context_;
  const auto roster = context.mesh.signed_roster().hash();
  const auto holders = context.mesh.placement().nodes_for(partition);
  EntryQuery query{.partition = partition, .limit = page_entries};
  std::uint64_t dropped = 0;
  do {
    auto page = co_await offload(context.runtime, [&] { return context.store.entries(query); });
    if (!page) co_return fail(std::move(page.error()));
    auto held = co_await confirmed_by_all(context, holders, std::move(page->entries), is_held);
    if (!held) co_return fail(std::move(held.error()));
    if (!self->may_drop() || context.mesh.signed_roster().hash() != roster) break;
    auto gone = co_await offload(context.runtime, [&] { return context.store.drop(*held); });
    if (!gone) co_return fail(std::move(gone.error()));
    dropped += gone->versions;
    query.after = page->next_after;
  } while (query.after);
  co_return dropped;
}

HandOver::HandOver(NodeContext context, HandOverOptions options)
    : impl_(std::make_shared<Impl>(context, options)) {}
HandOver::~HandOver() {
  impl_->stop();
}

void HandOver::start() {
  spawn(impl_->context().runtime, Impl::run(impl_));
}
void HandOver::stop() {
  impl_->stop();
}

}  // namespace zerodb
