#include "node/catalogue.hpp"

#include "node/catalogue_sync.hpp"
#include "node/event.hpp"

namespace zerodb {
namespace {

constexpr std::size_t news_max = 4'096;  // beyond, the next refresh finds them by itself
constexpr std::uint64_t tend_every_ms = 3'600'000;
constexpr int lives_max = 3;  // a store lost again and again is replaced by one in memory

}  // namespace

class Catalogue::Impl {
 public:
  Impl(NodeContext context, std::shared_ptr<const OwnerKeys> keys, OpenNames open)
      : state(std::make_shared<CatalogueState>(context, std::move(keys), std::move(open))),
        round_ended(context.runtime),
        refreshed_ms(context.runtime.steady_ms()) {}

  static Task<Status> refresh(std::shared_ptr<Impl> self);
  static Task<Result<ListPage>> page(std::shared_ptr<Impl> self, ListQuery query);
  static Task<void> tend(std::shared_ptr<Impl> self);

  std::shared_ptr<CatalogueState> state;
  Event round_ended;
  std::uint64_t rounds_begun = 0;
  std::uint64_t rounds_done = 0;
  std::uint64_t refreshed_ms;  ///< steady: when a round last began
  Status outcome;              ///< of the latest round
};

/// A round that had begun before may have missed the latest writes: whoever comes meanwhile waits
/// for the next one, which they share.
Task<Status> Catalogue::Impl::refresh(std::shared_ptr<Impl> self) {
  const auto mine = self->rounds_begun + 1;
  while (self->rounds_done < mine) {
    if (self->rounds_begun > self->rounds_done) {
      co_await self->round_ended.wait();
      continue;
    }
    self->rounds_begun += 1;
    self->refreshed_ms = self->state->context.runtime.steady_ms();
    self->outcome = co_await sync_catalogue(self->state);
    self->rounds_done = self->rounds_begun;
    self->round_ended.notify();
  }
  co_return self->outcome;
}

/// Names lost on the way are caught up with and listed again.
Task<Result<ListPage>> Catalogue::Impl::page(std::shared_ptr<Impl> self, ListQuery query) {
  auto& names = *self->state->names;
  bool first = query.after.empty();
  for (int i = 0; i < lives_max; ++i) {
    co_await names.open();
    const auto life = names.life();
    if (first) {
      auto caught_up = co_await refresh(self);
      if (!caught_up) co_return fail("list", std::move(caught_up.error()));
    }
    auto page = co_await names.page(query);
    if (page && names.life() == life) co_return std::move(*page);
    first = true;
  }
  co_return fail(Errc::io, "list: the catalogue's folder fails again and again");
}

Task<void> Catalogue::Impl::tend(std::shared_ptr<Impl> self) {
  static_cast<void>(co_await refresh(self));  // if it cannot, a later one will
}

Catalogue::Catalogue(NodeContext context, std::shared_ptr<const OwnerKeys> keys, OpenNames open)
    : impl_(std::make_shared<Impl>(context, std::move(keys), std::move(open))) {
  spawn(context.runtime, impl_->state->names->open());
}

Catalogue::~Catalogue() = default;

void Catalogue::learn(const SignedManifest& manifest, const std::string& name,
                      std::optional<std::int64_t> mtime_ms) {
  impl_->state->names->learn({.hashed_key = manifest->object.hashed_key,
                              .hash = manifest.hash(),
                              .deleted = manifest->is_tombstone(),
                              .entry = {.name = name,
                                        .size = manifest->size,
                                        .version = manifest->version,
                                        .mtime_ms = mtime_ms}});
}

void Catalogue::on_news(ByteView manifest) {
  auto& news = impl_->state->news;
  if (news.size() < news_max && manifest.size() <= manifest_bytes_max) {
    news.push_back(to_bytes(manifest));
  }
}

Task<Result<ListPage>> Catalogue::page(ListQuery query) {
  return Impl::page(impl_, std::move(query));
}

void Catalogue::tend() {
  const auto now_ms = impl_->state->context.runtime.steady_ms();
  if (now_ms - impl_->refreshed_ms < tend_every_ms) return;
  impl_->refreshed_ms = now_ms;
  spawn(impl_->state->context.runtime, Impl::tend(impl_));
}

}  // namespace zerodb
