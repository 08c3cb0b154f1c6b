#include "node/leaf_table.hpp"

#include "node/fan_out.hpp"

namespace zerodb {
namespace {

constexpr Milliseconds page_timeout{15'000};

Result<std::vector<Leaf>> parse_leaves(ByteView bytes, std::uint64_t count) {
  if (bytes.size() != count * Leaf::size) {
    return fail(Errc::corrupt, "answered " + std::to_string(bytes.size()) + " bytes for " +
                                   std::to_string(count) + " leaves");
  }
  std::vector<Leaf> leaves;
  leaves.reserve(count);
  for (std::size_t at = 0; at < bytes.size(); at += Leaf::size)
    leaves.push_back(*Leaf::from(bytes.subspan(at, Leaf::size)));
  return leaves;
}

std::uint64_t count_in(std::uint64_t page, const Manifest& manifest) {
  return std::min(manifest.chunk_count - page * leaves_a_page, leaves_a_page);
}

/// Whoever could not answer may have the right leaves.
Error merged(const std::vector<std::pair<NodeId, Error>>& errors) {
  const Error* worst = nullptr;
  for (const auto& [node, error] : errors) {
    if (error.code != Errc::not_found && error.code != Errc::corrupt) {
      return {Errc::no_quorum, "no leaves to compare it with: " + error.what};
    }
    if (worst == nullptr || error.code == Errc::corrupt) worst = &error;
  }
  return worst != nullptr ? *worst : Error{Errc::no_quorum, "nobody to ask for leaves"};
}

std::uint64_t pages_of(const Manifest& manifest) {
  return (manifest.chunk_count + leaves_a_page - 1) / leaves_a_page;
}

}  // namespace

Task<Result<std::vector<Leaf>>> ask_for_leaves(NodeContext context, NodeId node, Manifest manifest,
                                               std::uint64_t page) {
  const auto count = count_in(page, manifest);
  peer::GetLeaves request{.owner = manifest.object.owner,
                          .hashed_key = manifest.object.hashed_key,
                          .blob_id = manifest.blob_id,
                          .first = page * leaves_a_page,
                          .count = static_cast<std::uint32_t>(count)};
  auto answer = co_await call(context.links, node, std::move(request), Payload{}, page_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  auto leaves = parse_leaves(answer->payload.view(), count);
  if (!leaves) co_return fail(context.mesh.describe(node), std::move(leaves.error()));
  co_return leaves;
}

Task<Result<std::vector<Leaf>>> leaves_page(NodeContext context, NodeId node, SignedPtr version,
                                            std::uint64_t page) {
  if (node != context.mesh.self()) {
    co_return co_await ask_for_leaves(context, node, version->manifest(), page);
  }
  auto work = [&] {
    return context.store.read_leaves(*version, page * leaves_a_page,
                                     count_in(page, version->manifest()));
  };
  auto leaves = co_await offload(context.runtime, work);
  if (leaves && leaves->size() != count_in(page, version->manifest())) {
    co_return fail(Errc::corrupt, "leaves are missing");
  }
  co_return leaves;
}

LeafTable::LeafTable(CorePtr core, SignedPtr version)
    : core_(std::move(core)), version_(std::move(version)), loaded_(core_->context.runtime) {}

Task<Result<Leaf>> LeafTable::leaf(Self self, std::uint64_t index, std::vector<NodeId> nodes) {
  const auto page = index / leaves_a_page;
  const auto ended_before = self->loads_;
  while (true) {
    const auto kept = self->pages_.find(page);
    if (kept != self->pages_.end()) co_return kept->second[index % leaves_a_page];
    const auto& failure = self->failure_;  // shared by all who waited for it
    if (failure && failure->page == page && failure->load > ended_before) {
      co_return fail(failure->error);
    }
    if (self->loading_) {
      co_await self->loaded_.wait();
    } else {
      co_await load(self, page, nodes);
    }
  }
}

void LeafTable::load_ahead(const Self& self, std::uint64_t index, std::vector<NodeId> nodes) {
  const auto page = index / leaves_a_page;
  if (self->loading_ || self->pages_.contains(page)) return;
  spawn(self->core_->context.runtime, load_unasked(self, page, std::move(nodes)));
}

/// Whoever waits for it asks again if it fails.
Task<void> LeafTable::load_unasked(Self self, std::uint64_t page, std::vector<NodeId> nodes) {
  if (!self->loading_) co_await load(self, page, std::move(nodes));
}

/// One node after the other, until one tells what is right.
Task<void> LeafTable::load(Self self, std::uint64_t page, std::vector<NodeId> nodes) {
  struct Loading {
    LeafTable& table;
    ~Loading() {
      table.loading_ = false;
      table.loaded_.notify();
    }
  };
  self->loading_ = true;
  const Loading loading{*self};
  auto ask_one = [self, page](const NodeId& node) { return ask(self, node, page); };
  const bool is_short = pages_of(self->version_->manifest()) == 1;
  auto hedging = [self, is_short](const NodeId& slow) {
    if (is_short) self->core_->slow_at_gets.note(slow);
  };
  auto told = co_await first_good<Told>(self->core_->context.runtime, std::move(nodes),
                                        self->core_->options.hedge_after, ask_one, hedging);
  self->loads_ += 1;
  if (told.value) {
    self->keep(page, std::move(*told.value));
  } else {
    self->failure_ = Failure{.page = page, .load = self->loads_, .error = merged(told.errors)};
  }
}

Task<Result<LeafTable::Told>> LeafTable::ask(Self self, NodeId node, std::uint64_t page) {
  if (self->hashes_.empty()) co_return co_await ask_for_all(self, node, page);
  auto leaves = co_await leaves_page(self->core_->context, node, self->version_, page);
  if (!leaves) co_return fail(std::move(leaves.error()));
  if (root_of(*leaves) != self->hashes_[page]) co_return fail(Errc::corrupt, "other leaves");
  co_return Told{.page = std::move(*leaves)};
}

Task<Result<LeafTable::Told>> LeafTable::ask_for_all(Self self, NodeId node, std::uint64_t wanted) {
  Told told;
  RootHasher root;
  const auto pages = pages_of(self->version_->manifest());
  for (std::uint64_t page = 0; page < pages; ++page) {
    auto leaves = co_await leaves_page(self->core_->context, node, self->version_, page);
    if (!leaves) co_return fail(std::move(leaves.error()));
    for (const auto& leaf : *leaves)
      root.add(leaf);
    told.hashes.push_back(root_of(*leaves));
    if (page == wanted) told.page = std::move(*leaves);
  }
  if (root.finish() != self->version_->manifest().root) {
    co_return fail(Errc::corrupt, "its leaves do not give the signed root");
  }
  co_return told;
}

void LeafTable::keep(std::uint64_t page, Told told) {
  if (hashes_.empty()) hashes_ = std::move(told.hashes);
  // Readers of neighbouring chunks may be in two pages.
  std::erase_if(pages_, [page](const auto& entry) { return entry.first + 1 != page; });
  pages_.emplace(page, std::move(told.page));
}

}  // namespace zerodb
