#include "node/membership.hpp"

#include <map>

#include <spdlog/spdlog.h>

#include "node/invites.hpp"
#include "node/records.hpp"
#include "node/ticket.hpp"

namespace zerodb {

namespace {

constexpr Milliseconds pull_timeout{5'000};
constexpr std::uint64_t pause_ms = 1'000;
constexpr std::uint64_t pause_of_same_claim_ms = 10'000;
constexpr std::size_t pulls_max = 4;

/// What a member says it knows.
struct Claim {
  std::uint64_t roster_version = 0;
  Bytes roster_hash;
  Bytes records_digest;
  bool operator==(const Claim&) const = default;
};

/// Of `hello` or its answer.
template <class Greeting>
MemberProgress progress_of(const Greeting& greeting) {
  return {.roster = RosterHash::from(greeting.roster_hash).value_or(RosterHash{}),
          .working_version = greeting.working_version,
          .settled_version = greeting.settled_version,
          .clean_version = greeting.clean_version};
}

/// A pull that brought nothing new: the member knew less than we do, or does not tell.
struct Fruitless {
  Claim claim;
  std::uint64_t at_ms = 0;  ///< steady
};

}  // namespace

class Membership::Impl : public std::enable_shared_from_this<Membership::Impl> {
 public:
  Impl(NodeContext context, const NodeKeys& keys, std::optional<SigningKey> mesh_key,
       MembershipFiles files)
      : context_(context), keys_(keys), mesh_key_(std::move(mesh_key)), files_(std::move(files)) {}

  void load(const MembershipState& state);
  void watch();

  bool holds_mesh_key() const { return mesh_key_.has_value(); }
  void observe(std::function<void()> observer) { observers_.push_back(std::move(observer)); }
  std::set<NodeId> invites() const { return invites_.keys(); }
  std::vector<Member> members() const;
  std::optional<PeerAddress> address_of(const NodeId& node) const;
  Status set_own_address(const std::string& endpoint, const std::string& broadcast_endpoint);

  peer::Hello hello() const;
  void on_hello_answered(const NodeId& from, const peer::Hello::Reply& reply);
  Result<PeerAnswer> on_hello(const NodeId& from, const peer::Hello& request);
  PeerAnswer roster_answer() const;

  Result<std::string> invite(const client::Invite& request, const OwnerKeys* owner);
  Result<PeerAnswer> on_join(const NodeId& invite, const peer::Join& request);

 private:
  NodeId self() const { return keys_.curve.public_key; }
  const Roster& roster() const { return context_.mesh.roster(); }
  std::uint64_t now_ms() const { return context_.runtime.now_ms(); }
  void changed() const;
  void save_records() const;

  // Greetings
  Status learn_from(const NodeId& from, ByteView record);
  void defend_own_record();
  void check_clock(const NodeId& from, std::uint64_t time_ms);
  Claim own_claim() const;
  bool is_outdated(const Claim& claim) const;
  bool is_pausing(const NodeId& from, const Claim& claim) const;
  void consider_pull(const NodeId& from, Claim claim);
  static Task<void> pull(std::shared_ptr<Impl> impl, NodeId from, Claim claim);
  bool take(const NodeId& from, const peer::GetRoster::Reply& reply);
  bool take_roster(const NodeId& from, ByteView wire);
  void take_older(const NodeId& from, const std::vector<Bytes>& wires);
  Status keep_roster(const SignedRoster& next) const;
  void keep_older();

  // Joining
  Status check_may_invite(const client::Invite& request, const OwnerKeys* owner) const;
  Status keep_invite(const NodeId& key, std::uint64_t expires_ms);
  void expire_later(std::uint64_t expires_ms);
  static Task<void> expire(std::weak_ptr<Impl> weak, Runtime& runtime, Milliseconds wait);
  Result<SignedRoster> roster_with(const peer::Join& request) const;
  Status admit(const NodeId& invite, const peer::Join& request);

  NodeContext context_;
  const NodeKeys& keys_;
  std::optional<SigningKey> mesh_key_;
  MembershipFiles files_;
  NodeRecord own_;  ///< what this node says of itself; version 0 until it knows
  Records records_;
  Invites invites_;
  std::set<NodeId> pulling_;
  std::map<NodeId, Fruitless> fruitless_;
  std::set<NodeId> wrong_clocks_;
  std::vector<RosterHash> older_kept_;  ///< on disk
  std::vector<std::function<void()>> observers_;
};

// ------------------------------------------------------------------------- what is known and kept

void Membership::Impl::load(const MembershipState& state) {
  for (const auto& wire : state.records) {
    if (auto learnt = records_.learn(wire, roster()); !learnt) {
      spdlog::warn("membership: a kept record is left out: {}", learnt.error().what);
    }
  }
  if (state.invites.empty()) return;
  auto invites = Invites::decode(state.invites);
  if (!invites) {
    spdlog::warn("membership: the kept invites cannot be read: {}", invites.error().what);
    return;
  }
  invites_ = std::move(*invites);
  invites_.drop_expired(now_ms());
}

/// What needs the shared pointer to this, so not in the constructor.
void Membership::Impl::watch() {
  context_.mesh.on_change([weak = weak_from_this()] {
    const auto impl = weak.lock();
    if (!impl) return;
    if (impl->records_.drop_strangers(impl->roster())) impl->save_records();
    impl->changed();
  });
  context_.mesh.on_progress([weak = weak_from_this()] {
    if (const auto impl = weak.lock()) impl->keep_older();
  });
  for (const auto expires_ms : invites_.expiries())
    expire_later(expires_ms);
}

void Membership::Impl::changed() const {
  for (const auto& observer : observers_)
    observer();
}

/// Records that could not be kept are learnt again from the others after a restart.
void Membership::Impl::save_records() const {
  if (auto saved = files_.save_records(records_.wires()); !saved) {
    spdlog::warn("membership: node records not kept: {}", saved.error().what);
  }
}

std::vector<Member> Membership::Impl::members() const {
  std::vector<Member> members;
  for (const auto& member : roster().members) {
    if (member.node == self()) continue;
    members.push_back(
        {.node = member.node, .sign_key = member.sign_key, .address = address_of(member.node)});
  }
  return members;
}

std::optional<PeerAddress> Membership::Impl::address_of(const NodeId& node) const {
  const auto* record = records_.find(node);
  if (record == nullptr) return std::nullopt;
  return PeerAddress{.node = node,
                     .endpoint = (*record)->endpoint,
                     .broadcast_endpoint = (*record)->broadcast_endpoint};
}

Status Membership::Impl::set_own_address(const std::string& endpoint,
                                         const std::string& broadcast_endpoint) {
  const auto* known = records_.find(self());
  own_ = known != nullptr ? known->record() : NodeRecord{.node = self()};
  if (own_.endpoint == endpoint && own_.broadcast_endpoint == broadcast_endpoint) return {};
  own_.endpoint = endpoint;
  own_.broadcast_endpoint = broadcast_endpoint;
  own_.sequence = std::max(own_.sequence + 1, now_ms());
  records_.put(SignedRecord::sign(own_, keys_.sign));
  if (auto saved = files_.save_records(records_.wires()); !saved) return saved;
  changed();
  return {};
}

// ------------------------------------------------------------------------------------- greetings

peer::Hello Membership::Impl::hello() const {
  const auto* own = records_.find(self());
  const auto progress = context_.mesh.own_progress();
  return {.record = own != nullptr ? own->wire() : Bytes{},
          .roster_version = roster().version,
          .roster_hash = to_bytes(progress.roster.view()),
          .records_digest = records_.digest(),
          .working_version = progress.working_version,
          .settled_version = progress.settled_version,
          .clean_version = progress.clean_version};
}

Result<PeerAnswer> Membership::Impl::on_hello(const NodeId& from, const peer::Hello& request) {
  if (auto learnt = learn_from(from, request.record); !learnt) {
    return fail(std::move(learnt.error()));
  }
  context_.mesh.hear(from, progress_of(request));
  consider_pull(from, {request.roster_version, request.roster_hash, request.records_digest});
  auto own = hello();
  peer::Hello::Reply reply{.record = std::move(own.record),
                           .roster_version = own.roster_version,
                           .roster_hash = std::move(own.roster_hash),
                           .records_digest = std::move(own.records_digest),
                           .working_version = own.working_version,
                           .settled_version = own.settled_version,
                           .clean_version = own.clean_version,
                           .time_ms = now_ms()};
  return PeerAnswer{.message = std::move(reply), .payload = {}};
}

void Membership::Impl::on_hello_answered(const NodeId& from, const peer::Hello::Reply& reply) {
  if (auto learnt = learn_from(from, reply.record); !learnt) {
    spdlog::warn("membership: {} said of itself: {}", context_.mesh.describe(from),
                 learnt.error().what);
    return;
  }
  check_clock(from, reply.time_ms);
  context_.mesh.hear(from, progress_of(reply));
  consider_pull(from, {reply.roster_version, reply.roster_hash, reply.records_digest});
}

Status Membership::Impl::learn_from(const NodeId& from, ByteView record) {
  auto news = records_.learn(record, roster());
  if (!news) return fail(std::move(news.error()));
  if (!*news) return {};
  spdlog::debug("membership: a new record came from {}", context_.mesh.describe(from));
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

Claim Membership::Impl::own_claim() const {
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
  if (pulling_.size() >= pulls_max || pulling_.contains(from) || is_pausing(from, claim)) return;
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
  bool new_records = false;
  for (std::size_t i = 0; i < std::min(reply.records.size(), members_max); ++i) {
    const auto learnt = records_.learn(reply.records[i], roster());
    new_records = new_records || (learnt && *learnt);
  }
  if (!new_records) return new_roster;
  defend_own_record();
  save_records();
  changed();
  return true;
}

bool Membership::Impl::take_roster(const NodeId& from, ByteView wire) {
  if (std::ranges::equal(wire, context_.mesh.signed_roster().wire())) return false;
  auto later = SignedRoster::verify(wire, roster().mesh);
  if (!later) {
    spdlog::warn("membership: {} gave a roster that cannot be believed: {}",
                 context_.mesh.describe(from), later.error().what);
    return false;
  }
  if (!stands_over(*later, context_.mesh.signed_roster())) return false;
  if (auto saved = keep_roster(*later); !saved) {
    spdlog::error("membership: the new roster cannot be kept, so the old one stands: {}",
                  saved.error().what);
    return false;
  }
  if ((*later)->find(self()) == nullptr) {
    spdlog::error("membership: this node is no longer a member of the mesh");
  }
  spdlog::info("membership: roster {} with {} members stands", (*later)->version,
               (*later)->members.size());
  return context_.mesh.adopt(std::move(*later));
}

void Membership::Impl::take_older(const NodeId& from, const std::vector<Bytes>& wires) {
  std::vector<SignedRoster> rosters;
  for (std::size_t i = 0; i < std::min(wires.size(), rosters_in_force_max); ++i) {
    auto older = SignedRoster::verify(wires[i], roster().mesh);
    if (older) {
      rosters.push_back(std::move(*older));
    } else {
      spdlog::warn("membership: {} gave an older roster that cannot be believed: {}",
                   context_.mesh.describe(from), older.error().what);
    }
  }
  context_.mesh.learn_older(std::move(rosters));
  keep_older();
}

/// What stands until now stays in force beside it, so that is kept first.
Status Membership::Impl::keep_roster(const SignedRoster& next) const {
  auto older = context_.mesh.older_rosters();
  older.push_back(context_.mesh.signed_roster());
  if (auto saved = files_.save_older_rosters(older); !saved) return saved;
  return files_.save_roster(next);
}

/// More of them than need be are kept if this fails: that costs some work, and no data.
void Membership::Impl::keep_older() {
  const auto older = context_.mesh.older_rosters();
  std::vector<RosterHash> hashes;
  for (const auto& roster : older)
    hashes.push_back(roster.hash());
  if (hashes == older_kept_) return;
  if (auto saved = files_.save_older_rosters(older); !saved) {
    spdlog::warn("membership: the rosters in force are not kept: {}", saved.error().what);
    return;
  }
  older_kept_ = std::move(hashes);
}

PeerAnswer Membership::Impl::roster_answer() const {
  peer::GetRoster::Reply reply{
      .roster = context_.mesh.signed_roster().wire(), .records = records_.wires(), .older = {}};
  for (const auto& roster : context_.mesh.older_rosters())
    reply.older.push_back(roster.wire());
  return {.message = std::move(reply), .payload = {}};
}

// --------------------------------------------------------------------------------------- joining

Status Membership::Impl::check_may_invite(const client::Invite& request,
                                          const OwnerKeys* owner) const {
  if (!mesh_key_) {
    return fail(Errc::denied,
                "this node does not hold the mesh key and cannot invite: run "
                "zdb invite on " +
                    roster().members.front().name + ", the founding node");
  }
  if (request.share_owner && owner == nullptr) {
    return fail(Errc::denied, "this node holds no owner's key that a ticket could share");
  }
  if (request.expires_s < 1 || request.expires_s > invite_expires_s_max) {
    return fail(Errc::invalid, "an invite must expire after 1 second to 30 days");
  }
  if (own_.sequence == 0) return fail(Errc::busy, "this node is starting: try again");
  return {};
}

Result<std::string> Membership::Impl::invite(const client::Invite& request,
                                             const OwnerKeys* owner) {
  if (auto may = check_may_invite(request, owner); !may) return fail(std::move(may.error()));
  auto pair = CurvePair::generate();
  Ticket ticket{.mesh = roster().mesh,
                .endpoint = own_.endpoint,
                .server = self(),
                .invite = std::move(pair.secret),
                .expires_ms = now_ms() + request.expires_s * 1000,
                .owner = {}};
  if (request.share_owner) ticket.owner = owner->seed();
  if (auto kept = keep_invite(pair.public_key, ticket.expires_ms); !kept) {
    return fail(std::move(kept.error()));
  }
  return ticket_text(ticket);
}

Status Membership::Impl::keep_invite(const NodeId& key, std::uint64_t expires_ms) {
  auto invites = invites_;
  invites.drop_expired(now_ms());
  if (auto added = invites.add(key, expires_ms); !added) return added;
  if (auto saved = files_.save_invites(invites.encode()); !saved) return saved;
  invites_ = std::move(invites);
  expire_later(expires_ms);
  changed();
  return {};
}

void Membership::Impl::expire_later(std::uint64_t expires_ms) {
  const auto now = now_ms();
  const Milliseconds wait{expires_ms > now ? expires_ms - now : 0};
  spawn(context_.runtime, expire(weak_from_this(), context_.runtime, wait));
}

Task<void> Membership::Impl::expire(std::weak_ptr<Impl> weak, Runtime& runtime, Milliseconds wait) {
  co_await runtime.sleep(wait);
  const auto impl = weak.lock();
  // A clock that was set back meanwhile leaves the invite to the next change.
  if (impl && impl->invites_.drop_expired(impl->now_ms())) impl->changed();
}

/// The next roster, with the joining node in it. Nothing has changed yet.
Result<SignedRoster> Membership::Impl::roster_with(const peer::Join& request) const {
  if (roster().find_name(request.node_name) != nullptr) {
    return fail(Errc::invalid, "the mesh has a node named '" + printable(request.node_name) +
                                   "' already: choose another with --name");
  }
  if (roster().members.size() >= members_max) {
    return fail(Errc::invalid,
                "the mesh has " + std::to_string(members_max) + " members, and takes no more");
  }
  auto next = roster();
  next.version += 1;
  next.members.push_back({.node = request.node,
                          .sign_key = request.sign_key,
                          .name = request.node_name,
                          .zone = request.zone,
                          .weight = request.weight,
                          .blind = request.blind});
  // Read back as the others will read it, so that nothing is signed that they would refuse.
  return SignedRoster::verify(SignedRoster::sign(next, *mesh_key_).wire(), next.mesh);
}

Result<PeerAnswer> Membership::Impl::on_join(const NodeId& invite, const peer::Join& request) {
  if (!mesh_key_) return fail(Errc::denied, "this node does not hold the mesh key");
  if (auto may = invites_.check(invite, request.node, now_ms()); !may) {
    return fail(std::move(may.error()));
  }
  const auto* member = roster().find(request.node);
  if (member != nullptr && member->sign_key != request.sign_key) {
    return fail(Errc::denied, "a member with this node's id has another signing key");
  }
  if (member == nullptr) {
    if (auto admitted = admit(invite, request); !admitted) {
      return fail(std::move(admitted.error()));
    }
  }
  return roster_answer();
}

/// The invite is used up on disk before the roster that it let the node into, so that no crash
/// makes it good for two.
Status Membership::Impl::admit(const NodeId& invite, const peer::Join& request) {
  auto next = roster_with(request);
  if (!next) return fail(std::move(next.error()));
  auto invites = invites_;
  invites.mark_used(invite, request.node);
  if (auto saved = files_.save_invites(invites.encode()); !saved) return saved;
  invites_ = std::move(invites);
  if (auto saved = keep_roster(*next); !saved) return saved;
  spdlog::info("membership: {} ({}) joined; roster {} with {} members stands", request.node_name,
               request.node.short_hex(), (*next)->version, (*next)->members.size());
  context_.mesh.adopt(std::move(*next));
  return {};
}

// ------------------------------------------------------------------------------------ the outside

Membership::Membership(NodeContext context, const NodeKeys& keys,
                       std::optional<SigningKey> mesh_key, MembershipState state,
                       MembershipFiles files)
    : impl_(std::make_shared<Impl>(context, keys, std::move(mesh_key), std::move(files))) {
  impl_->load(state);
  impl_->watch();
}

Membership::~Membership() = default;

Status Membership::set_own_address(const std::string& endpoint,
                                   const std::string& broadcast_endpoint) {
  return impl_->set_own_address(endpoint, broadcast_endpoint);
}

void Membership::on_change(std::function<void()> observer) {
  impl_->observe(std::move(observer));
}

std::vector<Member> Membership::members() const {
  return impl_->members();
}

std::set<NodeId> Membership::invites() const {
  return impl_->invites();
}

std::optional<PeerAddress> Membership::address_of(const NodeId& node) const {
  return impl_->address_of(node);
}

bool Membership::holds_mesh_key() const {
  return impl_->holds_mesh_key();
}

peer::Hello Membership::hello() const {
  return impl_->hello();
}

void Membership::on_hello_answered(NodeId from, const peer::Hello::Reply& reply) {
  impl_->on_hello_answered(from, reply);
}

Task<Result<PeerAnswer>> Membership::on_hello(NodeId from, peer::Hello request) {
  co_return impl_->on_hello(from, request);
}

Task<Result<PeerAnswer>> Membership::on_get_roster(NodeId) {
  co_return impl_->roster_answer();
}

Result<std::string> Membership::invite(const client::Invite& request, const OwnerKeys* owner) {
  return impl_->invite(request, owner);
}

Task<Result<PeerAnswer>> Membership::on_join(NodeId invite, peer::Join request) {
  co_return impl_->on_join(invite, request);
}

}  // namespace zerodb
