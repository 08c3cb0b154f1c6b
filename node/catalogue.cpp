#include "node/catalogue.hpp"

#include "node/catalogue_learn.hpp"
#include "node/catalogue_sync.hpp"
#include "node/wakeup.hpp"

namespace zerodb {
namespace {

constexpr std::size_t news_max = 4'096;            // beyond, the next refresh finds them by itself
constexpr std::uint64_t followed_for_ms = 60'000;  // after somebody last asked
constexpr Milliseconds news_wait{2};               // so that several are looked at together
constexpr Milliseconds keep_up_step{500};

/// A page after the first may be of another gateway's listing: what it names is no older than that.
constexpr std::uint64_t page_age_max_ms = 10'000;

/// What a broadcast did not tell is told this late at most. Each member sends up to 64 KiB a round.
constexpr std::uint64_t keep_up_every_ms = 10'000;
constexpr std::uint64_t keep_up_every_ms_per_member = 100;

constexpr int lives_max = 3;  // a store lost again and again is replaced by one in memory

}  // namespace

class Catalogue::Impl {
 public:
  Impl(NodeContext context, std::shared_ptr<const OwnerKeys> keys, OpenNames open,
       EventBounds bounds)
      : state(std::make_shared<CatalogueState>(context, std::move(keys), std::move(open), bounds)),
        round_ended(context.runtime),
        refreshed_ms(context.runtime.steady_ms()) {}

  class Round;

  static Task<Status> refresh(std::shared_ptr<Impl> self);
  static Task<Result<NamePage>> page(std::shared_ptr<Impl> self, ListQuery query);
  static Task<void> tend(std::shared_ptr<Impl> self);
  static Task<Result<EventPage>> events(std::shared_ptr<Impl> self, EventQuery query);
  static Task<void> follow(std::shared_ptr<Impl> self);
  static Task<void> keep_up(std::shared_ptr<Impl> self);
  static Task<void> learn_soon(std::shared_ptr<Impl> self);

  bool is_followed() const { return state->context.runtime.steady_ms() < followed_until_ms; }
  bool is_behind() const;
  bool is_complete(std::uint64_t life) const;

  std::shared_ptr<CatalogueState> state;
  Wakeup round_ended;
  std::uint64_t rounds_begun = 0;
  std::uint64_t rounds_done = 0;
  std::uint64_t refreshed_ms;           ///< steady: when a round last began
  Status outcome;                       ///< of the latest round
  std::uint64_t complete_life = 0;      ///< of the names: one that a round went well in
  std::uint64_t complete_ms = 0;        ///< steady: when that round, the latest such, began
  std::uint64_t followed_until_ms = 0;  ///< steady
  bool keeping_up = false;
  bool learning = false;
  bool missed_news = false;  ///< something is not told by news: a round must find it
  bool closed = false;
};

/// Ends however the coroutine does, that of a client too: those who wait for it go on.
class Catalogue::Impl::Round {
 public:
  explicit Round(Impl& impl) : impl_(impl) { impl_.rounds_begun += 1; }
  void end(Status outcome) { outcome_ = std::move(outcome); }
  ~Round() {
    impl_.outcome = std::move(outcome_);
    impl_.rounds_done = impl_.rounds_begun;
    impl_.round_ended.notify();
  }
  Round(const Round&) = delete;
  Round& operator=(const Round&) = delete;

 private:
  Impl& impl_;
  Status outcome_ = fail(Errc::io, "the round broke off");
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
    Round round(*self);
    const auto began_ms = self->state->context.runtime.steady_ms();
    self->refreshed_ms = began_ms;
    const auto life = self->state->names->life();
    auto synced = co_await sync_catalogue(self->state);
    if (synced && self->state->names->life() == life) {
      self->complete_life = life;
      self->complete_ms = began_ms;
    }
    round.end(std::move(synced));
  }
  co_return self->outcome;
}

/// Whether all names of a moment ago are known.
bool Catalogue::Impl::is_complete(std::uint64_t life) const {
  return life == complete_life &&
         state->context.runtime.steady_ms() - complete_ms < page_age_max_ms;
}

/// Names lost on the way are caught up with and listed again. So are those lost since an earlier
/// page, or not learnt yet by this node, which need not be the one that gave it.
Task<Result<NamePage>> Catalogue::Impl::page(std::shared_ptr<Impl> self, ListQuery query) {
  auto& names = *self->state->names;
  bool first = query.after.empty();
  for (int i = 0; i < lives_max; ++i) {
    co_await names.open();
    const auto life = names.life();
    if (first || !self->is_complete(life)) {
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

// ----------------------------------------------------------------------------------------
// following

Task<Result<EventPage>> Catalogue::Impl::events(std::shared_ptr<Impl> self, EventQuery query) {
  for (int i = 0; i < lives_max; ++i) {
    auto page = co_await self->state->names->events(query);
    if (page) co_return std::move(*page);
  }
  co_return fail(Errc::io, "events: the catalogue's folder fails again and again");
}

Task<void> Catalogue::Impl::follow(std::shared_ptr<Impl> self) {
  self->followed_until_ms = self->state->context.runtime.steady_ms() + followed_for_ms;
  if (self->closed || std::exchange(self->keeping_up, true)) co_return;
  self->state->names->set_followed(true);
  spawn(self->state->context.runtime, keep_up(self));
  // Others may be down: what is known is worth following all the same.
  static_cast<void>(co_await refresh(self));
}

bool Catalogue::Impl::is_behind() const {
  const auto members = state->context.mesh.roster().members.size();
  const auto every_ms = std::max(keep_up_every_ms, members * keep_up_every_ms_per_member);
  return missed_news || state->context.runtime.steady_ms() - refreshed_ms >= every_ms;
}

/// As long as somebody follows.
Task<void> Catalogue::Impl::keep_up(std::shared_ptr<Impl> self) {
  while (!self->closed && self->is_followed()) {
    co_await self->state->context.runtime.sleep(keep_up_step);
    if (self->closed || !self->is_behind()) continue;
    self->missed_news = false;
    static_cast<void>(co_await refresh(self));
  }
  self->keeping_up = false;
  self->state->names->set_followed(false);
}

Task<void> Catalogue::Impl::learn_soon(std::shared_ptr<Impl> self) {
  co_await self->state->context.runtime.sleep(news_wait);
  self->learning = false;
  co_await learn_news(self->state);
}

Catalogue::Catalogue(NodeContext context, std::shared_ptr<const OwnerKeys> keys, OpenNames open,
                     EventBounds bounds)
    : impl_(std::make_shared<Impl>(context, std::move(keys), std::move(open), bounds)) {
  spawn(context.runtime, impl_->state->names->open());
}

Catalogue::~Catalogue() {
  impl_->closed = true;
}

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
  if (news.size() >= news_max || manifest.size() > manifest_bytes_max) {
    impl_->missed_news = true;
    return;
  }
  news.push_back(to_bytes(manifest));
  if (!impl_->is_followed() || std::exchange(impl_->learning, true)) return;
  spawn(impl_->state->context.runtime, Impl::learn_soon(impl_));
}

Task<Result<NamePage>> Catalogue::page(ListQuery query) {
  return Impl::page(impl_, std::move(query));
}

Task<Result<EventPage>> Catalogue::events(EventQuery query) {
  return Impl::events(impl_, std::move(query));
}

Task<void> Catalogue::follow() {
  return Impl::follow(impl_);
}

bool Catalogue::is_followed() const {
  return impl_->is_followed();
}

Wakeup& Catalogue::changed() {
  return impl_->state->names->changed();
}

std::uint64_t Catalogue::revision() const {
  return impl_->state->names->revision();
}

void Catalogue::stop() {
  impl_->closed = true;
}

void Catalogue::on_link_up() {
  impl_->missed_news = true;
}

void Catalogue::tend() {
  const auto now_ms = impl_->state->context.runtime.steady_ms();
  const auto& keep = impl_->state->context.tombstone_keep;
  if (now_ms - impl_->refreshed_ms < static_cast<std::uint64_t>(keep.count()) / 24) return;
  impl_->refreshed_ms = now_ms;
  spawn(impl_->state->context.runtime, Impl::tend(impl_));
}

}  // namespace zerodb
