#include "node/tombstone_sweep.hpp"

#include <spdlog/spdlog.h>

#include "node/confirm.hpp"

namespace zerodb {

namespace {

constexpr std::size_t page_entries = 256;

bool is_no_older(Held held) {
  return held != Held::older;
}

}  // namespace

class TombstoneSweep::Impl {
 public:
  Impl(NodeContext context, TombstoneSweepOptions options) : context_(context), options_(options) {}

  const NodeContext& context() const { return context_; }
  void stop() { stopped_ = true; }
  static Task<void> run(std::shared_ptr<Impl> self);

 private:
  bool may_sweep() const;
  std::vector<NodeId> others_placed(Partition partition) const;
  static Task<Result<std::uint64_t>> sweep(std::shared_ptr<Impl> self);
  static Task<Result<std::uint64_t>> sweep_partition(std::shared_ptr<Impl> self,
                                                     Partition partition);

  NodeContext context_;
  TombstoneSweepOptions options_;
  bool stopped_ = false;
  std::size_t first_ = 0;  ///< behind the partition that failed: it stands in nobody's way
};

/// No member may hold an older version of anything where nobody would look for it.
bool TombstoneSweep::Impl::may_sweep() const {
  const auto& mesh = context_.mesh;
  const auto is_reached = [&](const RosterMember& member) {
    return member.node == mesh.self() || context_.links.state(member.node).up;
  };
  return !stopped_ && mesh.is_clean_everywhere() &&
         std::ranges::all_of(mesh.roster().members, is_reached);
}

std::vector<NodeId> TombstoneSweep::Impl::others_placed(Partition partition) const {
  auto nodes = context_.mesh.placement().nodes_for(partition);
  std::erase(nodes, context_.mesh.self());
  return nodes;
}

Task<void> TombstoneSweep::Impl::run(std::shared_ptr<Impl> self) {
  while (!self->stopped_) {
    co_await self->context_.runtime.sleep(self->options_.interval);
    const auto swept = co_await sweep(self);
    if (!swept) spdlog::warn("sweep of tombstones: {}", swept.error().what);
    if (swept && *swept > 0) spdlog::info("swept {} tombstones", *swept);
  }
}

Task<Result<std::uint64_t>> TombstoneSweep::Impl::sweep(std::shared_ptr<Impl> self) {
  auto& context = self->context_;
  if (!self->may_sweep()) co_return 0;
  const auto sizes = co_await offload(context.runtime, [&] { return context.store.sizes(); });
  std::uint64_t swept = 0;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    const auto partition = static_cast<Partition>((self->first_ + i) % sizes.size());
    if (sizes[partition].tombstones == 0 || !context.mesh.is_placed_here(partition)) continue;
    const auto gone = co_await sweep_partition(self, partition);
    if (!gone) {
      self->first_ = partition + std::size_t{1};
      co_return fail(gone.error());
    }
    swept += *gone;
  }
  co_return swept;
}

Task<Result<std::uint64_t>> TombstoneSweep::Impl::sweep_partition(std::shared_ptr<Impl> self,
                                                                  Partition partition) {
  auto& context = self->context_;
  const auto keep = static_cast<std::uint64_t>(context.tombstone_keep.count());
  const auto now = context.runtime.now_ms();
  EntryQuery query{.partition = partition,
                   .limit = page_entries,
                   .tombstones_before_ms = now - std::min(keep, now)};
  std::uint64_t swept = 0;
  do {
    auto page = co_await offload(context.runtime, [&] { return context.store.entries(query); });
    if (!page) co_return fail(std::move(page.error()));
    auto free = co_await confirmed_by_all(context, self->others_placed(partition),
                                          std::move(page->entries), is_no_older);
    if (!free) co_return fail(std::move(free.error()));
    if (!self->may_sweep()) break;
    auto gone = co_await offload(context.runtime, [&] { return context.store.drop(*free); });
    if (!gone) co_return fail(std::move(gone.error()));
    swept += free->size();
    query.after = page->next_after;
  } while (query.after);
  co_return swept;
}

TombstoneSweep::TombstoneSweep(NodeContext context, TombstoneSweepOptions options)
    : impl_(std::make_shared<Impl>(context, options)) {}
TombstoneSweep::~TombstoneSweep() {
  impl_->stop();
}

void TombstoneSweep::start() {
  spawn(impl_->context().runtime, Impl::run(impl_));
}
void TombstoneSweep::stop() {
  impl_->stop();
}

}  // namespace zerodb
