#include "node/locate.hpp"

#include "node/failures.hpp"
#include "node/fan_out.hpp"
#include "node/publish.hpp"

namespace zerodb {

/// A broadcast `get` and who has answered so far.
struct Asking {
  explicit Asking(Runtime& runtime) : wakeup(runtime) {}

  Wakeup wakeup;
  bool over = false;
  std::map<NodeId, std::optional<Bytes>> answers;
};

namespace {

constexpr Milliseconds broadcast_wait{1'000};
constexpr std::size_t asking_max = 1'000;

/// What a node said of the object, before it is checked.
struct Sighting {
  std::optional<Bytes> wire;
  SignedPtr trusted;  ///< from the own store, which keeps only what was verified
  Payload sealed;
  bool whole = true;
};

/// What is left of it when it has been checked.
struct Seen {
  NodeId node;
  SignedPtr version;  ///< nothing: not there
  Payload sealed;
  bool whole = true;
};

Result<Sighting> look_in(Store& store, const ObjectId& object, bool whole) {
  auto latest = store.latest(object);
  if (!latest) return fail(std::move(latest.error()));
  Sighting sighting{.whole = whole};
  if (!*latest) return sighting;
  sighting.trusted = std::make_shared<const SignedManifest>(std::move(**latest));
  if (sighting.trusted->manifest().is_inline()) {
    auto sealed = store.read_chunk(*sighting.trusted, 0);
    if (sealed) sighting.sealed = std::move(*sealed);
  }
  return sighting;
}

Task<Result<Sighting>> look_here(CorePtr core, ObjectId object) {
  const bool whole = core->context.mesh.is_whole();
  auto work = [&] { return look_in(core->context.store, object, whole); };
  co_return co_await offload(core->context.runtime, work);
}

Task<Result<Sighting>> look_there(CorePtr core, NodeId node, ObjectId object, bool with_inline) {
  peer::GetManifest request{
      .owner = object.owner, .hashed_key = object.hashed_key, .with_inline = with_inline};
  auto answer = co_await call(core->context.links, node, std::move(request), Payload{},
                              core->options.call_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return Sighting{.wire = std::move(answer->message.manifest),
                     .sealed = std::move(answer->payload),
                     .whole = answer->message.whole};
}

Task<void> end_asking(CorePtr core, std::shared_ptr<Asking> asking) {
  co_await core->context.runtime.sleep(broadcast_wait);
  asking->over = true;
  asking->wakeup.notify();
}

/// One search for one object. Lives in the frame of locate().
class Search {
 public:
  Search(CorePtr core, const ObjectId& object)
      : core_(std::move(core)),
        object_(object),
        work_(core_->context.mesh.begin_work()),
        targets_(core_->targets_for(object)),
        whole_(core_->context.mesh) {}

  Task<void> ask_placed();
  Task<void> ask_everybody();

  /// Enough nodes of each placement in force said what they have, and one of them has what this
  /// gateway acknowledged.
  bool has_quorum() const;
  /// No member is silent; or so few are that one of those who answered has every acknowledged
  /// version, and one has what this gateway acknowledged.
  bool heard_enough() const;
  std::optional<Located> newest() const;
  std::vector<NodeId> stale(const SignedManifest& newest) const;
  /// Members that did not say what they have, or have less than they had.
  std::vector<Failure> silent() const;

 private:
  const Seen* find(const NodeId& node) const;
  Task<void> consider(NodeId node, Result<Sighting> answer);
  Task<Result<SignedPtr>> check(Bytes wire);
  bool everybody_answered(const Asking& asking) const;
  bool saw_own_write() const;

  CorePtr core_;
  ObjectId object_;
  Mesh::Work work_;
  Targets targets_;
  WholeThroughout whole_;
  std::vector<Seen> seen_;
  std::map<NodeId, Error> errors_;
};

Task<void> Search::ask_placed() {
  const bool here = targets_.is_placed(core_->context.mesh.self());
  FanOut<Result<Sighting>> round(core_->context.runtime);
  for (const auto& node : targets_.nodes()) {
    // Sealed bytes are asked of others only when they are not to be had here.
    round.ask(node, core_->is_self(node) ? look_here(core_, object_)
                                         : look_there(core_, node, object_, !here));
  }
  while (true) {
    while (auto next = round.take())
      co_await consider(next->first, std::move(next->second));
    const bool waits = std::ranges::any_of(
        round.slots(), [&](const auto& slot) { return !slot.answer && core_->is_up(slot.node); });
    if (has_quorum() || !waits) co_return;
    co_await round.changed();
  }
}

Task<void> Search::ask_everybody() {
  const auto self = core_->context.mesh.self();
  if (find(self) == nullptr) {
    auto answer = co_await look_here(core_, object_);
    co_await consider(self, std::move(answer));
  }
  if (core_->asking.size() >= asking_max) co_return;
  std::uint64_t nonce = 0;
  core_->context.runtime.random({reinterpret_cast<std::uint8_t*>(&nonce), sizeof nonce});
  const auto asking = std::make_shared<Asking>(core_->context.runtime);
  core_->asking[nonce] = asking;
  broadcast::Get question{.owner = object_.owner, .hashed_key = object_.hashed_key, .nonce = nonce};
  core_->context.links.publish(object_, std::move(question));
  spawn(core_->context.runtime, end_asking(core_, asking));
  while (!asking->over && !everybody_answered(*asking))
    co_await asking->wakeup.wait();
  core_->asking.erase(nonce);
  for (auto& [node, manifest] : asking->answers) {
    Sighting sighting{.wire = std::move(manifest), .whole = false};
    co_await consider(node, std::move(sighting));
  }
}

bool Search::everybody_answered(const Asking& asking) const {
  return std::ranges::all_of(core_->context.mesh.roster().members, [&](const RosterMember& member) {
    return core_->is_self(member.node) || !core_->is_up(member.node) ||
           asking.answers.contains(member.node);
  });
}

const Seen* Search::find(const NodeId& node) const {
  const auto found = std::ranges::find(seen_, node, &Seen::node);
  return found == seen_.end() ? nullptr : &*found;
}

Task<void> Search::consider(NodeId node, Result<Sighting> answer) {
  if (!answer) {
    errors_.insert_or_assign(node, std::move(answer.error()));
    co_return;
  }
  Seen seen{.node = node,
            .version = std::move(answer->trusted),
            .sealed = std::move(answer->sealed),
            .whole = answer->whole};
  if (answer->wire) {
    auto version = co_await check(std::move(*answer->wire));
    if (!version) {
      errors_.insert_or_assign(node, std::move(version.error()));
      co_return;
    }
    seen.version = std::move(*version);
  }
  const auto before = std::ranges::find(seen_, node, &Seen::node);
  if (before == seen_.end()) {
    seen_.push_back(std::move(seen));
  } else if (!before->version) {
    *before = std::move(seen);  // it may have come there meanwhile
  }
}

Task<Result<SignedPtr>> Search::check(Bytes wire) {
  for (const auto& seen : seen_) {
    if (seen.version && seen.version->wire() == wire) co_return seen.version;
  }
  auto work = [&] { return SignedManifest::verify(wire); };
  auto verified = co_await offload(core_->context.runtime, work);
  if (!verified) co_return fail(std::move(verified.error()));
  if ((*verified)->object != object_) co_return fail(Errc::corrupt, "answered another object");
  co_return std::make_shared<const SignedManifest>(std::move(*verified));
}

bool Search::has_quorum() const {
  const auto says = [&](const NodeId& node) {
    const auto* seen = find(node);
    return seen != nullptr && seen->whole;
  };
  return targets_.count_for_read(says).is_enough() && saw_own_write();
}

/// Two that answer honestly cannot both lack it. One that denies what it took, and one whose copy
/// is still on its way, can: then all others have to say what they have.
bool Search::saw_own_write() const {
  const auto own = core_->own_writes.latest(object_);
  return own == Version{} || std::ranges::any_of(seen_, [&](const Seen& seen) {
           return seen.version && seen.version->manifest().version >= own;
         });
}

bool Search::heard_enough() const {
  const auto missing = silent().size();
  if (missing == 0) return true;
  return targets_.placements() == 1 && saw_own_write() &&
         missing + targets_.gone() < write_quorum(targets_.replicas());
}

std::vector<Failure> Search::silent() const {
  std::vector<Failure> silent;
  for (const auto& member : core_->context.mesh.roster().members) {
    const bool whole = whole_.contains(member.node);
    if (whole && find(member.node) != nullptr) continue;
    const auto error = errors_.find(member.node);
    Failure failure{.node = member.node};
    if (!whole) failure.error = Error{Errc::busy, "its store was lost and fills up again"};
    if (error != errors_.end() && core_->is_up(member.node)) failure.error = error->second;
    silent.push_back(std::move(failure));
  }
  return silent;
}

std::optional<Located> Search::newest() const {
  const Seen* best = nullptr;
  for (const auto& seen : seen_) {
    if (!seen.version) continue;
    if (best == nullptr || seen.version->is_later_than(*best->version)) best = &seen;
  }
  if (best == nullptr) return {};
  Located located{.version = best->version};
  for (const auto& seen : seen_) {
    if (!seen.version || seen.version->hash() != best->version->hash()) continue;
    const bool first = core_->is_self(seen.node);
    located.holders.insert(first ? located.holders.begin() : located.holders.end(), seen.node);
    if (located.sealed.empty()) located.sealed = seen.sealed;
  }
  return located;
}

std::vector<NodeId> Search::stale(const SignedManifest& newest) const {
  std::vector<NodeId> nodes;
  for (const auto& seen : seen_) {
    if (!targets_.is_placed(seen.node)) continue;
    const bool behind = seen.version ? newest.is_later_than(*seen.version) : seen.whole;
    if (behind) nodes.push_back(seen.node);
  }
  return nodes;
}

/// Nodes that were not waited for may be stale, too.
void repair_behind(const CorePtr& core, const Located& located, const std::vector<NodeId>& stale) {
  if (stale.empty() || !spread(core, *located.version, located.holders)) return;
  core->counters.read_repairs += stale.size();
}

Error too_few_answer(const GatewayCore& core, std::string what,
                     const std::vector<Failure>& silent) {
  return {Errc::no_quorum, std::move(what) +
                               ", as too few nodes answer: " + describe(core, silent) +
                               "; start or reach those nodes, then try again"};
}

}  // namespace

Task<Result<std::optional<Located>>> locate(CorePtr core, ObjectId object, std::string purpose) {
  Search search(core, object);
  co_await search.ask_placed();
  const bool quorum = search.has_quorum();
  if (!quorum) co_await search.ask_everybody();
  auto newest = search.newest();
  if (newest) repair_behind(core, *newest, search.stale(*newest->version));
  if (quorum || search.heard_enough()) co_return newest;
  const bool exists = newest && !newest->version->manifest().is_tombstone();
  purpose += exists ? ": cannot tell which version stands" : ": cannot tell whether it exists";
  auto doubt = too_few_answer(*core, std::move(purpose), search.silent());
  if (!exists) co_return fail(std::move(doubt));
  newest->doubt = std::move(doubt);
  co_return newest;
}

void on_have(GatewayCore& core, const NodeId& from, const peer::Have& answer) {
  const auto found = core.asking.find(answer.nonce);
  if (found == core.asking.end() || core.context.mesh.roster().find(from) == nullptr) return;
  auto& asking = *found->second;
  asking.answers.insert_or_assign(from, answer.manifest);
  asking.wakeup.notify();
}

}  // namespace zerodb
