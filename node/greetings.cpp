// What members tell each other: greetings, and the rosters and records that follow from them.
#include <spdlog/spdlog.h>

#include "bus/codec.hpp"
#include "node/membership_impl.hpp"

namespace zerodb {

namespace {

constexpr Milliseconds pull_timeout{5'000};
constexpr Milliseconds greeting_timeout{2'000};
constexpr std::uint64_t pause_ms = 1'000;
constexpr std::uint64_t pause_of_same_claim_ms = 10'000;
constexpr std::size_t pulls_max = 4;

/// A new record costs an fsync and moves links, so no member brings them faster: the next greeting
/// brings what this one does not.
constexpr std::uint64_t record_pause_ms = 500;

/// What is left of a header for rosters and records.
constexpr std::size_t roster_answer_bytes_max = codec::header_bytes_max - 4'096;

std::size_t bytes_of(const peer::GetRoster::Reply& reply) {
  constexpr std::size_t length_bytes = 5;  // of each, in msgpack
  auto bytes = reply.roster.size();
  for (const auto* list : {&reply.records, &reply.older}) {
    for (const auto& item : *list)
      bytes += item.size() + length_bytes;
  }
  return bytes;
}

/// Of `hello` or its answer.
template <class Greeting>
MemberProgress progress_of(const Greeting& greeting) {
  return {.roster = RosterHash::from(greeting.roster_hash).value_or(RosterHash{}),
          .roster_version = greeting.roster_version,
          .working_version = greeting.working_version,
          .settled_version = greeting.settled_version,
          .clean_version = greeting.clean_version,
          .missed_writes = greeting.missed_writes.value_or(0)};
}

std::optional<std::uint64_t> said_if_any(std::uint64_t count) {
  return count != 0 ? std::optional(count) : std::nullopt;
}

}  // namespace

peer::Hello Membership::Impl::hello() const {
  const auto* own = records_.find(self());
  const auto progress = context_.mesh.own_progress();
  return {.record = own != nullptr ? own->wire() : Bytes{},
          .roster_version = roster().version,
          .roster_hash = to_bytes(progress.roster.view()),
          .records_digest = records_.digest(),
          .working_version = progress.working_version,
          .settled_version = progress.settled_version,
          .clean_version = progress.clean_version,
          .administers = admin_->holds_mesh_key(),
          .missed_writes = said_if_any(progress.missed_writes)};
}

/// Beside the pings, so that news need not wait for the next one.
void Membership::Impl::greet_all() {
  for (const auto& member : roster().members) {
    if (!context_.links.state(member.node).up) continue;
    spawn(context_.runtime, greet(shared_from_this(), member.node));
  }
}

Task<void> Membership::Impl::greet(std::shared_ptr<Impl> impl, NodeId node) {
  auto hello = impl->hello();
  auto answer = co_await call(impl->context_.links, node, std::move(hello), {}, greeting_timeout);
  if (answer) impl->on_hello_answered(node, answer->message);
}

Result<PeerAnswer> Membership::Impl::on_hello(const NodeId& from, const peer::Hello& request) {
  if (auto learnt = learn_from(from, request.record); !learnt) {
    return fail(std::move(learnt.error()));
  }
  context_.mesh.hear(from, progress_of(request));
  admin_->hear(from, request.administers);
  consider_pull(from, {request.roster_version, request.roster_hash, request.records_digest});
  auto own = hello();
  peer::Hello::Reply reply{.record = std::move(own.record),
                           .roster_version = own.roster_version,
                           .roster_hash = std::move(own.roster_hash),
                           .records_digest = std::move(own.records_digest),
                           .working_version = own.working_version,
                           .settled_version = own.settled_version,
                           .clean_version = own.clean_version,
                           .administers = own.administers,
                           .missed_writes = own.missed_writes,
                           .time_ms = now_ms()};
  return PeerAnswer{.message = std::move(reply)};
}

void Membership::Impl::on_hello_answered(const NodeId& from, const peer::Hello::Reply& reply) {
  if (auto learnt = learn_from(from, reply.record); !learnt) {
    complaints_.about(from, "no record of itself", learnt.error().what);
    return;
  }
  check_clock(from, reply.time_ms);
  context_.mesh.hear(from, progress_of(reply));
  admin_->hear(from, reply.administers);
  consider_pull(from, {reply.roster_version, reply.roster_hash, reply.records_digest});
}

bool Membership::Impl::is_in_haste(const NodeId& from) const {
  const auto learnt = learnt_ms_.find(from);
  return learnt != learnt_ms_.end() &&
         context_.runtime.steady_ms() < learnt->second + record_pause_ms;
}

Status Membership::Impl::learn_from(const NodeId& from, ByteView record) {
  if (is_in_haste(from)) return {};
  auto news = records_.learn(record, roster());
  if (!news) return fail(std::move(news.error()));
  if (!*news) return {};
  spdlog::debug("membership: a new record came from {}", context_.mesh.describe(from));
  learnt_ms_[from] = context_.runtime.steady_ms();
  defend_own_record();
  save_records();
  changed();
  return {};
}

/// After a restore from an old copy, the others know a later word of ours than we do.
void Membership::Impl::defend_own_record() {
  const auto* known = records_.find(self());
  if (own_.sequence == 0 || known == nullptr || (*known)->sequence <= own_.sequence) return;
  own_.sequence = (*known)->sequence + 1;
  records_.put(SignedRecord::sign(own_, keys_.sign));
}

void Membership::Impl::check_clock(const NodeId& from, std::uint64_t time_ms) {
  const auto ours = now_ms();
  const auto apart = ours > time_ms ? ours - time_ms : time_ms - ours;
  if (apart <= static_cast<std::uint64_t>(version_future_max_ms)) {
    wrong_clocks_.erase(from);
  } else if (wrong_clocks_.insert(from).second) {
    spdlog::warn(
        "membership: the clock of {} is {} s {} this machine's: writes may be refused until both "
        "are right (timedatectl shows whether a clock is synchronised)",
        context_.mesh.describe(from), apart / 1000, ours > time_ms ? "behind" : "ahead of");
  }
}

Membership::Impl::Claim Membership::Impl::own_claim() const {
  return {roster().version, to_bytes(context_.mesh.signed_roster().hash().view()),
          records_.digest()};
}

/// Whether our roster stands over the one claimed, so that it is for them to ask us.
bool Membership::Impl::is_outdated(const Claim& claim) const {
  const auto& own = context_.mesh.signed_roster();
  const auto hash = RosterHash::from(claim.roster_hash);
  if (!hash) return true;
  const bool is_same = claim.roster_version == own->version && *hash == own.hash();
  return !is_same && !stands_over(claim.roster_version, *hash, own);
}

bool Membership::Impl::is_pausing(const NodeId& from, const Claim& claim) const {
  const auto found = fruitless_.find(from);
  if (found == fruitless_.end()) return false;
  const auto pause = found->second.claim == claim ? pause_of_same_claim_ms : pause_ms;
  return context_.runtime.steady_ms() < found->second.at_ms + pause;
}

void Membership::Impl::consider_pull(const NodeId& from, Claim claim) {
  if (is_outdated(claim) || claim == own_claim()) return;
  if (pulling_.size() >= pulls_max || pulling_.contains(from)) return;
  const bool is_about_records = claim.roster_version == roster().version;
  if (is_pausing(from, claim) || (is_about_records && is_in_haste(from))) return;
  pulling_.insert(from);
  spawn(context_.runtime, pull(shared_from_this(), from, std::move(claim)));
}

Task<void> Membership::Impl::pull(std::shared_ptr<Impl> impl, NodeId from, Claim claim) {
  const peer::GetRoster request;
  auto answer = co_await call(impl->context_.links, from, request, {}, pull_timeout);
  const bool fruitful = answer && impl->take(from, answer->message);
  impl->pulling_.erase(from);
  impl->fruitless_.erase(from);
  if (!fruitful) {
    impl->fruitless_[from] = {std::move(claim), impl->context_.runtime.steady_ms()};
  }
}

/// True if there was anything new in it.
bool Membership::Impl::take(const NodeId& from, const peer::GetRoster::Reply& reply) {
  take_older(from, reply.older);
  const bool new_roster = take_roster(from, reply.roster);
  if (is_in_haste(from)) return new_roster;
  bool new_records = false;
  for (std::size_t i = 0; i < std::min(reply.records.size(), members_max); ++i) {
    const auto learnt = records_.learn(reply.records[i], roster());
    new_records = new_records || (learnt && *learnt);
  }
  if (!new_records) return new_roster;
  learnt_ms_[from] = context_.runtime.steady_ms();
  defend_own_record();
  save_records();
  changed();
  return true;
}

bool Membership::Impl::take_roster(const NodeId& from, ByteView wire) {
  if (std::ranges::equal(wire, context_.mesh.signed_roster().wire())) return false;
  auto later = believed(from, wire);
  return later && admin_->take(std::move(*later));
}

std::optional<SignedRoster> Membership::Impl::believed(const NodeId& from, ByteView wire) {
  auto sent = SignedRoster::verify(wire, roster().mesh);
  if (sent) return std::move(*sent);
  complaints_.about(from, "a roster that cannot be believed", sent.error().what);
  return {};
}

/// Rosters that this node is in are asked for, together with what else belongs to them.
void Membership::Impl::on_farewell(const NodeId& from, ByteView wire) {
  auto sent = believed(from, wire);
  if (sent && (*sent)->find(self()) == nullptr) admin_->take(std::move(*sent));
}

void Membership::Impl::take_older(const NodeId& from, const std::vector<Bytes>& wires) {
  std::vector<SignedRoster> rosters;
  for (std::size_t i = 0; i < std::min(wires.size(), rosters_in_force_max); ++i) {
    auto older = SignedRoster::verify(wires[i], roster().mesh);
    if (older) {
      rosters.push_back(std::move(*older));
    } else {
      complaints_.about(from, "an older roster that cannot be believed", older.error().what);
    }
  }
  context_.mesh.learn_older(std::move(rosters));
  keep_older();
}

PeerAnswer Membership::Impl::roster_answer() const {
  peer::GetRoster::Reply reply{.roster = context_.mesh.signed_roster().wire(),
                               .records = records_.wires()};
  for (const auto& roster : context_.mesh.older_rosters())
    reply.older.push_back(roster.wire());
  // As Mesh does with too many: the oldest is where all lies that no later one is settled with.
  while (reply.older.size() > 1 && bytes_of(reply) > roster_answer_bytes_max)
    reply.older.erase(reply.older.begin() + 1);
  return {.message = std::move(reply)};
}

}  // namespace zerodb
