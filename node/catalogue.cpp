#include "node/catalogue.hpp"

#include "node/catalogue_sync.hpp"
#include "node/event.hpp"

namespace zerodb {
namespace {

constexpr std::size_t news_max = 4'096;  // beyond, the next refresh finds them by itself

}  // namespace

class Catalogue::Impl {
 public:
  Impl(NodeContext context, std::shared_ptr<const OwnerKeys> keys)
      : state(std::make_shared<CatalogueState>(context, std::move(keys))),
        round_ended(context.runtime) {}

  static Task<Status> refresh(std::shared_ptr<Impl> self);

  std::shared_ptr<CatalogueState> state;
  Event round_ended;
  std::uint64_t rounds_begun = 0;
  std::uint64_t rounds_done = 0;
  Status outcome;  ///< of the latest round
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
    self->outcome = co_await sync_catalogue(self->state);
    self->rounds_done = self->rounds_begun;
    self->round_ended.notify();
  }
  co_return self->outcome;
}

Catalogue::Catalogue(NodeContext context, std::shared_ptr<const OwnerKeys> keys)
    : impl_(std::make_shared<Impl>(context, std::move(keys))) {}

Catalogue::~Catalogue() = default;

void Catalogue::learn(const SignedManifest& manifest, const std::string& name,
                      std::optional<std::int64_t> mtime_ms) {
  impl_->state->index.learn({.hashed_key = manifest->object.hashed_key,
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

Task<Status> Catalogue::refresh() {
  return Impl::refresh(impl_);
}

ListPage Catalogue::page(const ListQuery& query) const {
  return impl_->state->index.page(query);
}

}  // namespace zerodb
