#include "node/membership.hpp"

#include <map>

#include <spdlog/spdlog.h>

#include "node/records.hpp"
#include "node/roster_admin.hpp"

namespace zerodb {

namespace {

constexpr Milliseconds pull_timeout{5'000};
constexpr Milliseconds greeting_timeout{2'000};
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
          .roster_version = greeting.roster_version,
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
  Impl(NodeContext context, const NodeKeys& keys, MembershipFiles files)
      : context_(context), keys_(keys), files_(std::move(files)) {}

  void start(std::optional<SigningKey> mesh_key, const MembershipState& state);

  RosterAdmin& admin() { return *admin_; }
  void observe(std::function<void()> observer) { observers_.push_back(std::move(observer)); }
  std::vector<Member> members() const;
  std::optional<PeerAddress> address_of(const NodeId& node) const;
  Status set_own_address(const std::string& endpoint, const std::string& broadcast_endpoint);

  peer::Hello hello() const;
  void on_hello_answered(const NodeId& from, const peer::Hello::Reply& reply);
  Result<PeerAnswer> on_hello(const NodeId& from, const peer::Hello& request);
  PeerAnswer roster_answer() const;
  bool take_roster(const NodeId& from, ByteView wire);
  void on_farewell(const NodeId& from, ByteView wire);

  Result<std::string> invite(const client::Invite& request, const OwnerKeys* owner);
  Result<PeerAnswer> on_join(const NodeId& invite, const peer::Join& request);

 private:
  NodeId self() const { return keys_.curve.public_key; }
  const Roster& roster() const { return context_.mesh.roster(); }
  std::uint64_t now_ms() const { return context_.runtime.now_ms(); }
  void changed() const;
  void save_records() const;

  // Greetings
  void greet_all();
  static Task<void> greet(std::shared_ptr<Impl> impl, NodeId node);
  Status learn_from(const NodeId& from, ByteView record);
  void defend_own_record();
  void check_clock(const NodeId& from, std::uint64_t time_ms);
  Claim own_claim() const;
  bool is_outdated(const Claim& claim) const;
  bool is_pausing(const NodeId& from, const Claim& claim) const;
  void consider_pull(const NodeId& from, Claim claim);
  static Task<void> pull(std::shared_ptr<Impl> impl, NodeId from, Claim claim);
  bool take(const NodeId& from, const peer::GetRoster::Reply& reply);
  void take_older(const NodeId& from, const std::vector<Bytes>& wires);
  Status keep_roster(const SignedRoster& next) const;
  void keep_older();

  NodeContext context_;
  const NodeKeys& keys_;
  MembershipFiles files_;
  std::shared_ptr<RosterAdmin> admin_;  ///< shared with requests under way
  NodeRecord own_;                      ///< what this node says of itself; version 0 until it knows
  Records records_;
  std::set<NodeId> pulling_;
  std::map<NodeId, Fruitless> fruitless_;
  std::set<NodeId> wrong_clocks_;
  std::vector<RosterHash> older_kept_;  ///< on disk
  std::vector<std::function<void()>> observers_;
};

// ------------------------------------------------------------------------- what is known and kept

/// What needs the shared pointer to this, so not in the constructor.
void Membership::Impl::start(std::optional<SigningKey> mesh_key, const MembershipState& state) {
  const auto to_this = [weak = weak_from_this()](auto action) {
    return [weak, action] {
      if (const auto impl = weak.lock()) action(*impl);
    };
  };
  admin_ = std::make_shared<RosterAdmin>(
      context_, std::move(mesh_key),
      RosterAdminFiles{
          .save_roster = [weak = weak_from_this()](const SignedRoster& next) -> Status {
            const auto impl = weak.lock();
            return impl ? impl->keep_roster(next) : fail(Errc::busy, "this node is being stopped");
          },
          .save_invites = files_.save_invites,
          .save_mesh_key = files_.save_mesh_key},
      RosterAdminEvents{.invites_changed = to_this([](Impl& i) { i.changed(); }),
                        .roster_made = to_this([](Impl& i) { i.greet_all(); })});
  admin_->load(state.invites);
  for (const auto& wire : state.records) {
    if (auto learnt = records_.learn(wire, roster()); !learnt) {
      spdlog::warn("membership: a kept record is left out: {}", learnt.error().what);
    }
  }
  context_.mesh.on_change([weak = weak_from_this()] {
    const auto impl = weak.lock();
    if (!impl) return;
    // Its own word stays: a roster that leaves this node out may be overtaken by one that does not.
    if (impl->records_.drop_strangers(impl->roster(), impl->self())) impl->save_records();
    impl->changed();
  });
  context_.mesh.on_progress([weak = weak_from_this()] {
    if (const auto impl = weak.lock()) impl->keep_older();
  });
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
          .clean_version = progress.clean_version,
          .administers = admin_->holds_mesh_key()};
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
  admin_->hear(from, reply.administers);
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
  return admin_->take(std::move(*later));
}

/// Rosters that this node is in are asked for, together with what else belongs to them.
void Membership::Impl::on_farewell(const NodeId& from, ByteView wire) {
  const auto sent = SignedRoster::verify(wire, roster().mesh);
  if (!sent || (*sent)->find(self()) == nullptr) take_roster(from, wire);
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

Result<std::string> Membership::Impl::invite(const client::Invite& request,
                                             const OwnerKeys* owner) {
  std::optional<std::string> endpoint;
  if (own_.sequence != 0) endpoint = own_.endpoint;
  return admin_->invite(request, owner, endpoint);
}

Result<PeerAnswer> Membership::Impl::on_join(const NodeId& invite, const peer::Join& request) {
  if (auto joined = admin_->join(invite, request); !joined) return fail(std::move(joined.error()));
  return roster_answer();
}

// ------------------------------------------------------------------------------------ the outside

Membership::Membership(NodeContext context, const NodeKeys& keys,
                       std::optional<SigningKey> mesh_key, MembershipState state,
                       MembershipFiles files)
    : impl_(std::make_shared<Impl>(context, keys, std::move(files))) {
  impl_->start(std::move(mesh_key), state);
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
  return impl_->admin().invites();
}

std::optional<PeerAddress> Membership::address_of(const NodeId& node) const {
  return impl_->address_of(node);
}

bool Membership::holds_mesh_key() const {
  return impl_->admin().holds_mesh_key();
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

Task<Result<PeerAnswer>> Membership::on_new_roster(NodeId from, peer::NewRoster news) {
  impl_->on_farewell(from, news.roster);
  co_return PeerAnswer{.message = peer::Ok{}, .payload = {}};
}

bool Membership::administers(const NodeId& node) const {
  return impl_->admin().administers(node);
}

Task<Result<client::NodeChanged>> Membership::node_set(client::NodeSet request) {
  return impl_->admin().set(std::move(request));
}

Task<Result<client::NodeChanged>> Membership::node_remove(client::NodeRemove request) {
  return impl_->admin().remove(std::move(request));
}

Result<std::string> Membership::mesh_export() const {
  return impl_->admin().export_key();
}

Result<std::string> Membership::mesh_import(std::string_view text) {
  return impl_->admin().import_key(text);
}

Result<std::string> Membership::invite(const client::Invite& request, const OwnerKeys* owner) {
  return impl_->invite(request, owner);
}

Task<Result<PeerAnswer>> Membership::on_join(NodeId invite, peer::Join request) {
  co_return impl_->on_join(invite, request);
}

}  // namespace zerodb
