#include "node/chunk_source.hpp"

#include "node/draft.hpp"
#include "node/failures.hpp"
#include "node/fan_out.hpp"

namespace zerodb {
namespace {

constexpr std::size_t open_at_once_bytes = 16 * 1024;  // quicker than to go to another thread

}  // namespace

ChunkSource::ChunkSource(CorePtr core, Located located, PrivatePart part)
    : core_(std::move(core)),
      version_(std::move(located.version)),
      part_(std::move(part)),
      inline_sealed_(std::move(located.sealed)),
      holders_(std::move(located.holders)),
      leaves_(std::make_shared<LeafTable>(core_, version_)) {
  const auto targets = core_->targets_for(manifest().object);
  for (const auto& node : targets.nodes()) {
    if (std::ranges::find(holders_, node) == holders_.end()) others_.push_back(node);
  }
}

Result<Payload> ChunkSource::open(std::uint64_t index, ByteView sealed) const {
  const auto& about = manifest();
  const FreshBuffer plain(chunk_size_at(index, about.size, about.chunk_bytes));
  if (sealed.size() != plain.size + chunk_overhead_bytes) {
    return fail(Errc::corrupt, "a chunk of the wrong size");
  }
  const ChunkPosition position{.index = index, .last = index + 1 == about.chunk_count};
  auto opened = open_chunk(part_.content_key, about.binding(), position, sealed, plain.bytes());
  if (!opened) return fail(std::move(opened.error()));
  return plain.payload();
}

/// A content key opens what its holder seals, and who was given a link holds one: so what another
/// node hands out must be what the owner signed.
Result<Payload> ChunkSource::open_foreign(std::uint64_t index, ByteView sealed,
                                          const std::optional<Leaf>& expected) const {
  const auto leaf = leaf_of(sealed);
  const bool is_signed = expected ? leaf == *expected : root_of(leaf) == manifest().root;
  if (!is_signed) return fail(Errc::corrupt, "a chunk that its owner did not sign");
  return open(index, sealed);
}

Task<Result<Payload>> ChunkSource::open_inline() {
  const auto sealed = std::exchange(inline_sealed_, Payload{});
  auto work = [&] { return open_foreign(0, sealed.view(), {}); };
  if (sealed.size() <= open_at_once_bytes) co_return work();
  co_return co_await offload(core_->context.runtime, work);
}

Task<Result<Payload>> ChunkSource::read_here(std::uint64_t index) {
  auto work = [&]() -> Result<Payload> {
    auto sealed = core_->context.store.read_chunk(*version_, index);
    if (!sealed) return fail(std::move(sealed.error()));
    return open(index, sealed->view());
  };
  co_return co_await offload(core_->context.runtime, work);
}

/// Nothing: there is one leaf only, and the root is over it.
Task<Result<std::optional<Leaf>>> ChunkSource::expected_leaf(std::uint64_t index) {
  if (manifest().chunk_count == 1) co_return std::nullopt;
  auto leaf = co_await LeafTable::leaf(leaves_, index, candidates(index));
  if (!leaf) co_return fail(std::move(leaf.error()));
  co_return *leaf;
}

Task<Result<Payload>> ChunkSource::read_there(NodeId node, std::uint64_t index) {
  const auto& about = manifest();
  if (about.chunk_count > 1) LeafTable::load_ahead(leaves_, index, candidates(index));
  auto request = chunk_request(about, index);
  const auto asked_ms = core_->context.runtime.steady_ms();
  auto answer = co_await call(core_->context.links, node, std::move(request), Payload{},
                              core_->options.chunk_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  note_time(node, core_->context.runtime.steady_ms() - asked_ms);
  in_hand_.emplace(node, index);
  const auto expected = co_await expected_leaf(index);
  in_hand_.erase(std::pair(node, index));
  if (!expected) co_return fail(expected.error());
  const auto sealed = std::move(answer->payload);
  auto work = [&] { return open_foreign(index, sealed.view(), *expected); };
  co_return co_await offload(core_->context.runtime, work);
}

Task<Result<Payload>> ChunkSource::read_at(Self self, NodeId node, std::uint64_t index) {
  const bool here = self->core_->is_self(node);
  auto call = here ? self->read_here(index) : self->read_there(node, index);
  auto plain = co_await std::move(call);
  if (!plain) {
    const auto code = plain.error().code;
    if (code != Errc::no_quorum) self->bad_.insert(node);  // else others told it no leaves
    if (code == Errc::corrupt) self->core_->counters.chunks_damaged += 1;
    const auto& tell = self->core_->options.on_damage;
    const bool damage = code == Errc::corrupt || code == Errc::not_found;
    if (here && damage && tell) tell(self->manifest().binding());
  }
  co_return plain;
}

void ChunkSource::note_time(const NodeId& node, std::uint64_t took_ms) {
  constexpr std::uint64_t weight = 4;  // of what was known before, against one
  const auto [known, is_first] = took_ms_.try_emplace(node, took_ms);
  if (!is_first) known->second = (known->second * weight + took_ms) / (weight + 1);
}

/// Whether its chunks come about as fast as the nearest node's, as far as that is known.
bool ChunkSource::is_near(const NodeId& node) const {
  constexpr std::uint64_t jitter_ms = 20;
  const auto known = took_ms_.find(node);
  if (known == took_ms_.end()) return true;
  auto nearest = known->second;
  for (const auto& [other, took_ms] : took_ms_)
    nearest = std::min(nearest, took_ms);
  return known->second <= 2 * nearest + jitter_ms;
}

/// This node first; then those known to hold it, in turn by chunk, so that they share the work, but
/// those that turned out to be far only after the near ones; then the others. Who is down or has
/// failed before comes last.
std::vector<NodeId> ChunkSource::candidates(std::uint64_t index) const {
  auto nodes = holders_;
  const auto remote =
      !nodes.empty() && core_->is_self(nodes[0]) ? nodes.begin() + 1 : nodes.begin();
  if (const auto count = nodes.end() - remote; count > 1) {
    std::rotate(remote,
                remote + static_cast<std::ptrdiff_t>(index % static_cast<std::size_t>(count)),
                nodes.end());
    std::stable_partition(remote, nodes.end(), [&](const NodeId& node) { return is_near(node); });
  }
  nodes.insert(nodes.end(), others_.begin(), others_.end());
  std::ranges::stable_partition(nodes,
                                [&](const NodeId& node) { return !core_->slow_at_gets.has(node); });
  std::ranges::stable_partition(
      nodes, [&](const NodeId& node) { return core_->is_up(node) && !bad_.contains(node); });
  return nodes;
}

Task<Result<Payload>> ChunkSource::read(Self self, std::uint64_t index) {
  if (!self->inline_sealed_.empty()) {
    auto plain = co_await self->open_inline();
    if (plain) co_return plain;
    self->core_->counters.chunks_damaged += 1;
    const auto& tell = self->core_->options.on_damage;
    if (tell) tell(self->manifest().binding());  // perhaps of another node: it is looked at here
  }
  auto ask = [self, index](const NodeId& node) { return read_at(self, node, index); };
  auto on_hedge = [self, index](const NodeId& slow) {
    if (self->in_hand_.contains({slow, index})) return;
    self->core_->counters.chunks_hedged += 1;
    self->core_->slow_at_gets.note(slow);
  };
  while (true) {
    const auto nodes = self->candidates(index);
    auto read = co_await first_good<Payload>(self->core_->context.runtime, nodes,
                                             self->core_->options.hedge_after, ask, on_hedge);
    if (read.value) co_return std::move(*read.value);
    auto error = self->explain(read.errors);
    if (error.code == Errc::corrupt) co_return fail(std::move(error));
    const auto fate = co_await look_again(self, nodes);
    if (fate == Fate::moved) continue;
    if (fate == Fate::lost && error.code == Errc::not_found) error = self->lost();
    co_return fail(std::move(error));
  }
}

/// What became of the version being read: nodes that held it drop it once others hold it after a
/// change of placement. Moved: there are holders that were not among those `asked`.
Task<ChunkSource::Fate> ChunkSource::look_again(Self self, std::vector<NodeId> asked) {
  auto located =
      co_await locate(self->core_, self->manifest().object, about("get", self->part_.name));
  if (!located || !*located || (*located)->version->hash() != self->version_->hash()) {
    co_return Fate::replaced;
  }
  const auto is_known = [&](const NodeId& node) {
    return std::ranges::find(self->holders_, node) != self->holders_.end() ||
           std::ranges::find(self->others_, node) != self->others_.end();
  };
  auto fate = Fate::lost;
  for (const auto& node : (*located)->holders) {
    if (!is_known(node)) self->others_.push_back(node);
    // Another chunk's read may have found it first.
    if (std::ranges::find(asked, node) == asked.end()) fate = Fate::moved;
  }
  co_return fate;
}

Error ChunkSource::lost() const {
  return {Errc::corrupt,
          about("get", part_.name) + ": its content is missing on every node: put it again"};
}

Error ChunkSource::explain(const std::vector<std::pair<NodeId, Error>>& errors) const {
  std::vector<Failure> failures;
  bool damaged = false;
  bool gone = true;
  for (const auto& [node, error] : errors) {
    damaged = damaged || error.code == Errc::corrupt;
    gone = gone && error.code == Errc::not_found;
    failures.push_back({.node = node, .error = error});
  }
  const auto doing = about("get", part_.name) + ": ";
  const auto who = describe(*core_, failures);
  if (damaged) return {Errc::corrupt, doing + "no undamaged copy can be reached: " + who};
  if (gone) return {Errc::not_found, doing + "it was replaced or deleted while it was read"};
  return {Errc::no_quorum,
          doing + "no holder can be reached: " + who + "; start or reach those nodes"};
}

}  // namespace zerodb
