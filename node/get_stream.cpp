#include "node/get_stream.hpp"

#include "node/chunk_source.hpp"
#include "node/draft.hpp"
#include "node/wakeup.hpp"

namespace zerodb {
namespace {

constexpr std::size_t chunks_reread_max = 2;  // kept after they were read, for unaligned readers
constexpr std::size_t copied_part = 4;        // of a chunk: less is no reason to hold all of it

/// A chunk being fetched, or fetched.
struct Slot {
  explicit Slot(Runtime& runtime) : done(runtime) {}

  std::optional<Result<Payload>> plain;
  Wakeup done;
  bool ahead = false;         ///< nobody has asked for it yet
  std::uint64_t read_at = 0;  ///< counts reads; the least is the longest unread
};

Payload part_of(const Payload& chunk, std::size_t offset, std::size_t length) {
  auto part = chunk.slice(offset, length);
  return part.size() < chunk.size() / copied_part ? Payload::copy_of(part.view()) : part;
}

class OpeningStream : public GetStream {
 public:
  OpeningStream(CorePtr core, std::shared_ptr<ChunkSource> source)
      : core_(std::move(core)), source_(std::move(source)) {}
  ~OpeningStream() override { core_->chunks_kept -= slots_.size(); }

  void expect_until(std::uint64_t end) override {
    expected_end_ = std::min(end, manifest().size);
    reads_forward_ = true;
  }
  const Manifest& manifest() const override { return source_->manifest(); }
  const PrivatePart& info() const override { return source_->part(); }
  Task<Result<Payload>> read(std::uint64_t offset, std::uint32_t length) override;

 private:
  static Task<void> load(std::shared_ptr<ChunkSource> source, std::uint64_t index,
                         std::shared_ptr<Slot> slot);
  static Task<Result<Payload>> wait(std::shared_ptr<Slot> slot);
  std::shared_ptr<Slot> slot_of(std::uint64_t index);
  std::shared_ptr<Slot> begin(std::uint64_t index);
  void note_order(std::uint64_t first, std::uint64_t last);
  void read_ahead(std::uint64_t after);
  void forget_read();
  std::size_t ahead() const;

  CorePtr core_;
  std::shared_ptr<ChunkSource> source_;  ///< shared with chunks still on their way
  std::map<std::uint64_t, std::shared_ptr<Slot>> slots_;
  std::uint64_t reads_ = 0;
  std::optional<std::uint64_t> latest_;  ///< chunk read last
  bool reads_forward_ = false;
  std::optional<std::uint64_t> expected_end_;
};

Task<void> OpeningStream::load(std::shared_ptr<ChunkSource> source, std::uint64_t index,
                               std::shared_ptr<Slot> slot) {
  slot->plain = co_await ChunkSource::read(source, index);
  slot->done.notify();
}

Task<Result<Payload>> OpeningStream::wait(std::shared_ptr<Slot> slot) {
  while (!slot->plain)
    co_await slot->done.wait();
  co_return *slot->plain;
}

std::shared_ptr<Slot> OpeningStream::begin(std::uint64_t index) {
  const auto slot = std::make_shared<Slot>(core_->context.runtime);
  slots_.emplace(index, slot);
  core_->chunks_kept += 1;
  spawn(core_->context.runtime, load(source_, index, slot));
  return slot;
}

/// A chunk that could not be had is tried again when it is asked for again.
std::shared_ptr<Slot> OpeningStream::slot_of(std::uint64_t index) {
  const auto found = slots_.find(index);
  const bool usable = found != slots_.end() && (!found->second->plain || *found->second->plain);
  if (found != slots_.end() && !usable) {
    slots_.erase(found);
    core_->chunks_kept -= 1;
  }
  auto slot = usable ? found->second : begin(index);
  slot->ahead = false;
  slot->read_at = ++reads_;
  return slot;
}

void OpeningStream::note_order(std::uint64_t first, std::uint64_t last) {
  if (latest_) reads_forward_ = first == *latest_ || first == *latest_ + 1;
  latest_ = last;
}

std::size_t OpeningStream::ahead() const {
  return static_cast<std::size_t>(
      std::ranges::count_if(slots_, [](const auto& entry) { return entry.second->ahead; }));
}

void OpeningStream::read_ahead(std::uint64_t after) {
  if (!reads_forward_) return;
  const auto end = chunk_count_of(expected_end_.value_or(manifest().size), manifest().chunk_bytes);
  auto room =
      core_->options.read_ahead_chunks - std::min(ahead(), core_->options.read_ahead_chunks);
  const auto stop = std::min(end, after + 1 + core_->options.read_ahead_chunks);
  for (auto index = after + 1; index < stop && room > 0; ++index) {
    if (core_->chunks_kept >= core_->options.chunks_kept_max) return;
    if (slots_.contains(index)) continue;
    begin(index)->ahead = true;
    room -= 1;
  }
}

/// Drops chunks that were read, the longest unread first, but for a few; all of them while half of
/// what all reads may keep is taken: the rest is for chunks that have not been read yet.
void OpeningStream::forget_read() {
  const bool crowded = core_->chunks_kept > core_->options.chunks_kept_max / 2;
  const auto kept_max = crowded ? 0 : chunks_reread_max;
  while (true) {
    auto oldest = slots_.end();
    std::size_t read = 0;
    for (auto entry = slots_.begin(); entry != slots_.end(); ++entry) {
      const auto& slot = *entry->second;
      if (slot.ahead || !slot.plain) continue;
      read += 1;
      if (oldest == slots_.end() || slot.read_at < oldest->second->read_at) oldest = entry;
    }
    if (read <= kept_max) return;
    slots_.erase(oldest);
    core_->chunks_kept -= 1;
  }
}

Task<Result<Payload>> OpeningStream::read(std::uint64_t offset, std::uint32_t length) {
  const auto& about = manifest();
  const std::uint64_t chunk = about.chunk_bytes;
  if (offset >= about.size || length == 0) co_return Payload{};
  const auto wanted = std::min<std::uint64_t>({length, chunk, about.size - offset});
  const auto first = offset / chunk;
  const auto last = (offset + wanted - 1) / chunk;
  note_order(first, last);
  const auto head_slot = slot_of(first);
  const auto tail_slot = last == first ? nullptr : slot_of(last);
  read_ahead(last);
  auto head = co_await wait(head_slot);
  Result<Payload> tail = Payload{};
  if (tail_slot) tail = co_await wait(tail_slot);
  forget_read();
  if (!head) co_return head;
  if (!tail) co_return tail;
  if (!tail_slot) co_return part_of(*head, offset % chunk, wanted);
  const auto begin = head->slice(offset % chunk, chunk);
  const FreshBuffer joined(wanted);
  std::ranges::copy(begin.view(), joined.bytes().begin());
  const auto rest = tail->view().first(wanted - begin.size());
  std::ranges::copy(rest, joined.bytes().begin() + static_cast<std::ptrdiff_t>(begin.size()));
  co_return joined.payload();
}

}  // namespace

std::unique_ptr<GetStream> open_get_stream(CorePtr core, Located located, PrivatePart part) {
  auto source = std::make_shared<ChunkSource>(core, std::move(located), std::move(part));
  return std::make_unique<OpeningStream>(std::move(core), std::move(source));
}

}  // namespace zerodb
