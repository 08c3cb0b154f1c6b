#include "node/known_names.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <set>

#include "node/entry_codec.hpp"

namespace zerodb {
namespace {

constexpr std::size_t batch_records = 4'096;  // then they are written at once
constexpr std::size_t learnt_records_max = 65'536;
constexpr Milliseconds write_after{5'000};
constexpr Milliseconds write_soon_after{2};  // so that several events share a sync

constexpr std::uint64_t note_seen_every_ms = 60'000;
constexpr std::uint64_t begin_again_every_ms = 600'000;

constexpr std::string_view digests_note = "digests ";
constexpr std::string_view seen_all_note = "seen all";

std::string note_of(const NodeId& node) {
  return std::string(digests_note) + node.hex();
}

/// When the whole mesh was last seen; 0 if that is not known.
std::uint64_t seen_all_in(const NameNotes& notes) {
  const auto note = notes.find(std::string(seen_all_note));
  if (note == notes.end() || !note->second || note->second->size() != 8) return 0;
  return get_u64(*note->second);
}

}  // namespace

KnownNames::KnownNames(Runtime& runtime, const OwnerId& owner, Holders holders, OpenNames open,
                       Milliseconds unseen_max, EventBounds bounds)
    : runtime_(runtime),
      owner_(owner),
      holders_(std::move(holders)),
      open_(std::move(open)),
      unseen_max_(unseen_max),
      bounds_(bounds),
      changed_(runtime) {
  if (!open_) open_ = [] { return make_memory_name_store(); };
}

// ------------------------------------------------------------------------------- opening, losing

struct KnownNames::Opened {
  std::shared_ptr<NameStore> store;
  NameNotes notes;
  std::string problem;  ///< for the log
};

KnownNames::Opened KnownNames::in_memory(const Error& why) {
  return {make_memory_name_store(), {}, why.what + "; names are kept in memory until a restart"};
}

/// Off the network thread.
KnownNames::Opened KnownNames::open_now(const OpenNames& open, std::uint64_t seen_since_ms) {
  auto opened = open();
  if (!opened) return in_memory(opened.error());
  std::shared_ptr<NameStore> store = std::move(*opened);
  auto notes = store->notes();
  if (!notes && notes.error().code != Errc::corrupt) return in_memory(notes.error());
  // The first batch ever written has a note.
  const bool is_new = notes && notes->empty();
  const bool is_fresh = notes && seen_all_in(*notes) >= seen_since_ms;
  if (is_new || is_fresh) return {std::move(store), std::move(*notes), {}};
  if (auto cleared = store->clear(); !cleared) return in_memory(cleared.error());
  return {std::move(store), {}, {}};
}

Task<void> KnownNames::open() {
  return open(shared_from_this());
}

Task<void> KnownNames::open(Self self) {
  while (self->opening_)
    co_await self->changed_.wait();
  if (self->store_) co_return;
  self->opening_ = true;
  auto work = [self, since_ms = self->seen_since_ms()] { return open_now(self->open_, since_ms); };
  auto opened = co_await offload(self->runtime_, work);
  if (!opened.problem.empty()) spdlog::warn("{}", opened.problem);
  self->store_ = std::move(opened.store);
  self->begin_life();
  self->take_notes(opened.notes);
  self->opening_ = false;
  self->changed_.notify();
}

std::uint64_t KnownNames::seen_since_ms() const {
  const auto now_ms = runtime_.now_ms();
  return now_ms - std::min(now_ms, static_cast<std::uint64_t>(unseen_max_.count()));
}

Task<void> KnownNames::renew() {
  const auto self = shared_from_this();
  co_await open(self);
  if (seen_all_ms_ >= seen_since_ms()) co_return;
  Error why{Errc::timeout, "the catalogue has not seen the mesh for too long"};
  co_await lose(life_, std::move(why));
}

Task<void> KnownNames::begin_again(std::uint64_t life, Error why) {
  const auto now_ms = runtime_.steady_ms();
  if (begun_again_ms_ && now_ms - *begun_again_ms_ < begin_again_every_ms) co_return;
  begun_again_ms_ = now_ms;
  co_await lose(life, std::move(why));
}

void KnownNames::begin_life() {
  life_ += 1;
  digests_.clear();
  digests_changed_.clear();
  seen_all_ms_ = runtime_.now_ms();
  seen_all_changed_ = true;
}

void KnownNames::take_notes(const NameNotes& notes) {
  if (notes.empty()) return;
  seen_all_ms_ = seen_all_in(notes);
  for (const auto& [key, value] : notes) {
    if (!value || !key.starts_with(digests_note)) continue;
    auto id = NodeId::from_hex(key.substr(digests_note.size()));
    auto digests = decode_digests(*value);
    if (id && digests) digests_.emplace(*id, std::move(*digests));
  }
}

/// Once for each life, whoever notices. Not while something of the old life is being written, which
/// could be found in the new one.
Task<void> KnownNames::lose(std::uint64_t life, Error why) {
  const auto self = shared_from_this();
  while (writing_ || opening_)
    co_await changed_.wait();
  if (life != life_) co_return;
  spdlog::warn("{}; it is made anew from the mesh", why.what);
  begin_life();
  opening_ = true;
  const auto store = store_;
  auto work = [store] { return store->clear(); };
  const auto cleared = co_await offload(runtime_, work);
  if (!cleared) {
    spdlog::warn("{}; names are kept in memory until a restart", cleared.error().what);
    store_ = make_memory_name_store();
  }
  opening_ = false;
  changed_.notify();
}

// ----------------------------------------------------------------------------- learning, writing

void KnownNames::learn(NameRecord record) {
  if (learnt_.size() >= learnt_records_max) return;
  announced_.push_back({.hashed_key = record.hashed_key, .version = record.known()});
  learnt_.push_back(std::move(record));
  if (learnt_.size() == batch_records) {
    spawn(runtime_, write_all(shared_from_this(), false));
  } else {
    wake_writer_soon();
  }
}

Task<void> KnownNames::learn_announced(std::vector<NameRecord> records) {
  for (const auto& record : records)
    announced_.push_back({.hashed_key = record.hashed_key, .version = record.known()});
  return learn_all(std::move(records));
}

Task<void> KnownNames::learn_all(std::vector<NameRecord> records) {
  const auto self = shared_from_this();
  for (auto& record : records)
    learnt_.push_back(std::move(record));
  if (learnt_.size() >= batch_records) co_await flush();
  wake_writer_soon();
}

Task<void> KnownNames::flush() {
  return write_all(shared_from_this(), false);
}

void KnownNames::wake_writer() {
  if (!std::exchange(writer_waits_, true)) spawn(runtime_, write_later(shared_from_this()));
}

/// A put pays for no write of its own names, unless somebody wants to know of them at once.
void KnownNames::wake_writer_soon() {
  if (!followed_) return wake_writer();
  if (!std::exchange(writer_comes_, true)) spawn(runtime_, write_soon(shared_from_this()));
}

Task<void> KnownNames::write_soon(Self self) {
  co_await self->runtime_.sleep(write_soon_after);
  self->writer_comes_ = false;
  co_await write_all(self, false);
}

Task<void> KnownNames::write_later(Self self) {
  co_await self->runtime_.sleep(write_after);
  self->writer_waits_ = false;
  co_await write_all(self, true);
}

/// What was learnt before the call is with the store when it ends, or lost with it.
Task<void> KnownNames::write_all(Self self, bool with_digests) {
  co_await open(self);
  while (self->writing_ || self->opening_)
    co_await self->changed_.wait();
  auto batch = std::make_shared<Batch>();
  batch->records = std::exchange(self->learnt_, {});
  batch->announced = std::exchange(self->announced_, {});
  batch->notes = self->changed_notes(with_digests);
  if (batch->records.empty() && batch->notes.empty()) co_return;
  self->writing_ = true;
  const auto life = self->life_;
  const auto store = self->store_;
  const NameWrite how{
      .now_ms = self->runtime_.now_ms(), .durable = self->followed_, .bounds = self->bounds_};
  auto work = [batch, store, how, owner = self->owner_]() -> Result<std::vector<DigestChange>> {
    auto changes = forecast(*store, owner, batch->announced);
    if (!changes) return changes;
    auto written = store->write(batch->records, batch->notes, how);
    if (!written) return fail(std::move(written.error()));
    return changes;
  };
  auto written = co_await offload(self->runtime_, work);
  self->writing_ = false;
  self->revision_ += 1;
  if (written && life == self->life_) self->expect(*written);
  self->changed_.notify();
  if (!written) co_await self->lose(life, std::move(written.error()));
}

/// Digests are large, so that not every batch carries them.
NameNotes KnownNames::changed_notes(bool with_digests) {
  NameNotes notes;
  if (std::exchange(seen_all_changed_, false)) {
    Bytes value(8);
    put_u64(value, seen_all_ms_);
    notes[std::string(seen_all_note)] = std::move(value);
  }
  if (!with_digests) return notes;
  for (const auto& [node, stands] : std::exchange(digests_changed_, {})) {
    auto& note = notes[note_of(node)];
    if (stands) note = encode_digests(digests_.at(node));
  }
  return notes;
}

// -------------------------------------------------------------------------------------- looking up

template <class Look>
Task<KnownNames::Found<Look>> KnownNames::look_up(Look look) {
  const auto life = life_;
  const auto store = store_;
  auto work = [&] { return look(*store); };
  auto found = co_await offload(runtime_, work);
  if (found && life == life_) co_return std::move(*found);
  if (!found) co_await lose(life, std::move(found.error()));
  co_return std::nullopt;
}

Task<std::vector<Entry>> KnownNames::news_among(std::vector<Entry> entries) {
  const auto self = shared_from_this();
  co_await open(self);
  const auto later_than_known = [&](NameStore& store) -> Result<std::vector<Entry>> {
    std::vector<HashedKey> objects;
    objects.reserve(entries.size());
    for (const auto& entry : entries)
      objects.push_back(entry.object.hashed_key);
    const auto known = store.known(objects);
    if (!known) return fail(known.error());
    std::vector<Entry> news;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      const KnownVersion version{.version = entries[i].version, .hash = entries[i].hash};
      if (!(*known)[i] || version > *(*known)[i]) news.push_back(entries[i]);
    }
    return news;
  };
  auto news = co_await look_up(later_than_known);
  if (news) co_return std::move(*news);
  co_return entries;  // nothing is known any more
}

Task<std::optional<std::vector<KnownObject>>> KnownNames::known_in(
    std::vector<Partition> partitions) {
  const auto self = shared_from_this();
  co_await open(self);
  const auto all_in = [&](NameStore& store) -> Result<std::vector<KnownObject>> {
    std::vector<KnownObject> all;
    for (const auto partition : partitions) {
      const auto some = store.known_in(partition);
      if (!some) return fail(some.error());
      all.insert(all.end(), some->begin(), some->end());
    }
    return all;
  };
  co_return co_await look_up(all_in);
}

Task<std::optional<NamePage>> KnownNames::page(ListQuery query) {
  const auto self = shared_from_this();
  co_await flush();
  const auto page_in = [&](NameStore& store) { return store.page(query); };
  co_return co_await look_up(page_in);
}

Task<std::optional<EventPage>> KnownNames::events(EventQuery query) {
  const auto self = shared_from_this();
  co_await flush();
  const auto events_in = [&](NameStore& store) { return store.events(query); };
  co_return co_await look_up(events_in);
}

// ----------------------------------------------------------------------------------------- digests

/// Only now that the names are written, so that no digest is ever kept before its names.
void KnownNames::expect(const std::vector<DigestChange>& changes) {
  for (const auto& change : changes) {
    for (const auto& node : holders_(change.partition)) {
      auto& digests = digests_[node];
      digests.resize(partition_count);
      auto& digest = digests[change.partition];
      digest = changed_by(change, digest);
      digests_changed_[node] = true;
    }
  }
  if (!changes.empty()) wake_writer();
}

const Digests& KnownNames::digests_of(const NodeId& node) const {
  static const Digests nothing(partition_count);
  const auto found = digests_.find(node);
  return found == digests_.end() ? nothing : found->second;
}

void KnownNames::saw(std::uint64_t life, const NodeId& node, Partition partition,
                     const PartitionDigest& digest) {
  if (life != life_) return;
  auto& digests = digests_[node];
  digests.resize(partition_count);
  digests[partition] = digest;
  digests_changed_[node] = true;
  wake_writer();
}

void KnownNames::saw_all(std::uint64_t life) {
  const auto now_ms = runtime_.now_ms();
  if (life != life_ || now_ms < seen_all_ms_ + note_seen_every_ms) return;
  seen_all_ms_ = now_ms;
  seen_all_changed_ = true;
  wake_writer();
}

std::vector<NodeId> KnownNames::nodes() const {
  std::vector<NodeId> nodes;
  for (const auto& [node, digests] : digests_)
    nodes.push_back(node);
  return nodes;
}

void KnownNames::forget(const NodeId& node) {
  if (digests_.erase(node) == 0) return;
  digests_changed_[node] = false;
  wake_writer();
}

}  // namespace zerodb
