#include "node/roster_admin.hpp"

#include <spdlog/spdlog.h>

#include "node/ticket.hpp"
#include "store/recovery.hpp"

namespace zerodb {

namespace {

constexpr std::size_t rosters_bytes_max = 640 << 10;  // with all records, what a header can hold
constexpr Milliseconds farewell_timeout{2'000};

RosterMember member_of(const peer::Join& request) {
  return {.node = request.node,
          .sign_key = request.sign_key,
          .name = request.node_name,
          .zone = request.zone,
          .weight = std::min(request.weight, weight_default),  // more is an administrator's to give
          .blind = request.blind};
}

/// Whether the member is as the change would make it.
bool is_so(const RosterMember& member, const RosterChange& change) {
  return change.draining.value_or(member.draining) == member.draining &&
         change.zone.value_or(member.zone) == member.zone &&
         change.weight.value_or(member.weight) == member.weight;
}

std::size_t count_staying(const Roster& roster) {
  return static_cast<std::size_t>(
      std::ranges::count(roster.members, false, &RosterMember::draining));
}

}  // namespace

RosterAdmin::RosterAdmin(NodeContext context, std::optional<SigningKey> mesh_key,
                         RosterAdminFiles files, RosterAdminEvents events)
    : context_(context),
      mesh_key_(std::move(mesh_key)),
      files_(std::move(files)),
      events_(std::move(events)) {}

void RosterAdmin::load(ByteView kept) {
  if (kept.empty()) return;
  auto invites = Invites::decode(kept);
  if (!invites) {
    spdlog::warn("membership: the kept invites cannot be read: {}", invites.error().what);
    return;
  }
  invites_ = std::move(*invites);
  invites_.drop_expired(now_ms());
  for (const auto expires_ms : invites_.expiries())
    expire_later(expires_ms);
}

void RosterAdmin::hear(const NodeId& node, bool administers) {
  if (administers) {
    administrators_.insert(node);
  } else {
    administrators_.erase(node);
  }
}

bool RosterAdmin::administers(const NodeId& node) const {
  return node == context_.mesh.self() ? holds_mesh_key() : administrators_.contains(node);
}

/// "n1 or n3", of those that are members, up, and not this node.
std::string RosterAdmin::other_administrators() const {
  std::string names;
  for (const auto& member : roster().members) {
    if (member.node == context_.mesh.self() || !administrators_.contains(member.node)) continue;
    if (!context_.links.state(member.node).up) continue;
    names += (names.empty() ? "" : " or ") + member.name;
  }
  return names;
}

// ----------------------------------------------------------------------------------- the standing

Result<SignedRoster> RosterAdmin::sign(const Roster& next) const {
  // Read back as the others will read it, so that nothing is signed that they would refuse.
  return SignedRoster::verify(SignedRoster::sign(next, *mesh_key_).wire(), next.mesh);
}

Status RosterAdmin::keep(const SignedRoster& next) {
  if (auto dropped = drop_invites_of_removed(next.roster()); !dropped) return dropped;
  return files_.save_roster(next);
}

/// Once it, or one on top of it, is kept.
void RosterAdmin::stand(SignedRoster next) {
  spdlog::info("membership: roster {} with {} members stands", next->version, next->members.size());
  const bool is_member = next->find(context_.mesh.self()) != nullptr;
  const bool was_member = roster().find(context_.mesh.self()) != nullptr;
  if (was_member && !is_member) {
    spdlog::error(
        "membership: this node was removed from the mesh: nobody speaks to it any more; to return "
        "it must join anew, with a new, empty data folder");
  }
  context_.mesh.adopt(std::move(next));
}

bool RosterAdmin::take(SignedRoster later) {
  if (!stands_over(later, context_.mesh.signed_roster())) return false;
  auto both = with_own_changes(later);
  if (auto kept = keep(both ? *both : later); !kept) {
    spdlog::error("membership: the new roster cannot be kept, so the old one stands: {}",
                  kept.error().what);
    return false;
  }
  stand(std::move(later));
  if (!both) return true;
  stand(std::move(*both));
  events_.roster_made();
  return true;
}

/// A roster with what another administrator's, who did not know of it, would undo. It is kept in
/// place of that one: nothing can come in between.
std::optional<SignedRoster> RosterAdmin::with_own_changes(const SignedRoster& later) const {
  if (!mesh_key_ || later->find(context_.mesh.self()) == nullptr) return {};
  const auto lost = lost_changes(roster(), later.roster());
  const auto next = with_lost_changes(later, lost);
  if (!next) return {};
  for (const auto& change : lost) {
    spdlog::info("membership: made again on top of roster {}: {}", later->version,
                 describe(change, *next));
  }
  auto made = sign(*next);
  if (made) return std::move(*made);
  spdlog::error(
      "membership: a change that another administrator's overtook could not be made again: {}",
      made.error().what);
  return {};
}

Result<SignedRoster> RosterAdmin::signed_with(RosterChange change) const {
  const auto next = with_change(context_.mesh.signed_roster(), std::move(change));
  if (!next) return fail(next.error());
  return sign(*next);
}

/// All rosters in force must fit what one member tells another of them. A removal may be what ends
/// a move, so there is always room for one.
Status RosterAdmin::check_room_beside(const SignedRoster& next) const {
  const auto older = context_.mesh.older_rosters();
  auto bytes = context_.mesh.signed_roster().wire().size() + next.wire().size();
  for (const auto& roster : older)
    bytes += roster.wire().size();
  if (older.size() + 2 < rosters_in_force_max && bytes <= rosters_bytes_max) return {};
  return fail(Errc::busy, std::to_string(older.size() + 1) +
                              " rosters are in force at once, which is as many as can be: wait "
                              "for the move under way to end; zdb status says which members it "
                              "waits for");
}

Status RosterAdmin::make(const RosterChange& change) {
  auto next = signed_with(change);
  if (!next) return fail(std::move(next.error()));
  if (auto room = check_room_beside(*next); !room && !change.removed) return room;
  return bring_in(change, std::move(*next));
}

Status RosterAdmin::bring_in(const RosterChange& change, SignedRoster next) {
  spdlog::info("membership: {}, by an administrator here", describe(change, roster()));
  if (auto kept = keep(next); !kept) return kept;
  stand(std::move(next));
  events_.roster_made();
  return {};
}

// ---------------------------------------------------------------------------------- administration

Status RosterAdmin::check_may_administer() const {
  if (roster().find(context_.mesh.self()) == nullptr) {
    return fail(Errc::denied, "this node was removed from the mesh");
  }
  if (mesh_key_) return {};
  auto others = other_administrators();
  if (others.empty()) others = roster().members.front().name;  // most likely the founding node
  return fail(Errc::denied, "this node does not hold the mesh key: ask " + others +
                                ", or bring the key here: zdb mesh export there, zdb mesh import "
                                "here");
}

client::NodeChanged RosterAdmin::answer(const RosterMember& member, bool changed,
                                        std::string note) const {
  return {.node = member.node.hex(),
          .node_name = member.name,
          .roster_version = roster().version,
          .changed = changed,
          .note = std::move(note)};
}

/// What an operator should know of draining.
std::string RosterAdmin::note_on(const client::NodeSet& request) const {
  const auto staying = count_staying(roster());
  if (!request.draining.value_or(false) || staying >= replicas_wanted) return {};
  return "only " + std::to_string(staying) + " of " + std::to_string(roster().members.size()) +
         " nodes stay, so there will be " + std::to_string(staying) +
         " copies of each object, and a write needs " +
         std::to_string(write_quorum(static_cast<std::uint32_t>(staying))) +
         ": add nodes first to keep " + std::to_string(replicas_wanted);
}

Task<Result<client::NodeChanged>> RosterAdmin::set(client::NodeSet request) {
  if (auto may = check_may_administer(); !may) co_return fail(std::move(may.error()));
  const auto member = find_member(roster(), request.node);
  if (!member) co_return fail(member.error());
  RosterChange change{.node = member->node,
                      .draining = request.draining,
                      .zone = request.zone,
                      .weight = request.weight};
  if (is_so(*member, change)) co_return answer(*member, false, {});
  if (request.draining.value_or(false) && count_staying(roster()) == 1 && !member->draining) {
    co_return fail(Errc::invalid, member->name +
                                      " is the last node that does not drain, and data must be "
                                      "somewhere: add a node first");
  }
  if (auto made = make(change); !made) co_return fail(std::move(made.error()));
  co_return answer(*member, true, note_on(request));
}

Status RosterAdmin::check_may_remove(const RosterMember& member, bool force) const {
  if (roster().members.size() == 1) {
    return fail(Errc::denied, member.name +
                                  " is the last node of the mesh: to end the mesh, stop it and "
                                  "delete its data folder");
  }
  if (member.node == context_.mesh.self() && other_administrators().empty()) {
    return fail(Errc::denied, member.name +
                                  " is the only node known to hold the mesh key, and nobody could "
                                  "change the mesh without it: first zdb mesh export here and zdb "
                                  "mesh import on another node");
  }
  if (force || context_.mesh.is_drained(member.node)) return {};
  const auto what = member.draining ? " drains and still holds data that the others lack: wait "
                                      "until zdb node list says it is drained"
                                    : " holds data: drain it first, with zdb node drain " +
                                          member.name + " --wait";
  return fail(Errc::denied, member.name + what +
                                "; if it is lost for good, --force removes it, and what fewer "
                                "than the other copies hold may be lost with it");
}

/// A node that is removed is told first: in a moment nobody speaks to it any more.
Task<void> RosterAdmin::bid_farewell(NodeId node, const SignedRoster& roster) {
  if (!context_.links.state(node).up) co_return;
  peer::NewRoster news{.roster = roster.wire()};
  static_cast<void>(co_await call(context_.links, node, std::move(news), {}, farewell_timeout));
}

Task<Result<client::NodeChanged>> RosterAdmin::remove(client::NodeRemove request) {
  if (auto may = check_may_administer(); !may) co_return fail(std::move(may.error()));
  const auto member = find_member(roster(), request.node);
  if (!member) co_return fail(member.error());
  if (auto may = check_may_remove(*member, request.force); !may) co_return fail(may.error());
  const bool drained = context_.mesh.is_drained(member->node);
  const RosterChange change{.node = member->node, .removed = true};
  const auto farewell = signed_with(change);
  if (!farewell) co_return fail(farewell.error());
  co_await bid_farewell(member->node, *farewell);
  if (roster().find(member->node) != nullptr) {
    // It was told, so nothing but a change of who may administer, or is left, can stop it now.
    if (auto may = check_may_administer(); !may) co_return fail(std::move(may.error()));
    if (auto may = check_may_remove(*member, true); !may) co_return fail(may.error());
    if (auto made = make(change); !made) co_return fail(std::move(made.error()));
  }
  co_return answer(*member, true,
                   drained ? ""
                           : "it was not drained: objects of which it held the only copies are "
                             "lost, unless it can be read elsewhere; the others make new copies "
                             "of the rest");
}

Result<std::string> RosterAdmin::export_key() const {
  if (auto may = check_may_administer(); !may) return fail(std::move(may.error()));
  return recovery_text(mesh_key_->seed(), RecoveryKind::mesh);
}

Result<std::string> RosterAdmin::import_key(std::string_view text) {
  const auto seed = seed_from_recovery_text(text, RecoveryKind::mesh);
  if (!seed) return fail(seed.error());
  SigningKey key(*seed);
  const auto id = *MeshId::from(key.public_key().view());
  if (id != roster().mesh) {
    return fail(Errc::invalid, "this is the key of the mesh " + id.short_hex() +
                                   ", and this node belongs to " + roster().mesh.short_hex());
  }
  if (!mesh_key_) {
    if (auto saved = files_.save_mesh_key(*seed); !saved) return fail(std::move(saved.error()));
    spdlog::info("membership: this node holds the mesh key from now on");
    mesh_key_.emplace(*seed);
  }
  return id.hex();
}

// ---------------------------------------------------------------------------------------- joining

Status RosterAdmin::check_may_invite(const client::Invite& request, const OwnerKeys* owner) const {
  if (auto may = check_may_administer(); !may) return may;
  if (request.share_owner && owner == nullptr) {
    return fail(Errc::denied, "this node holds no owner's key that a ticket could share");
  }
  if (request.expires_s < 1 || request.expires_s > invite_expires_s_max) {
    return fail(Errc::invalid, "an invite must expire after 1 second to 30 days");
  }
  return {};
}

Result<std::string> RosterAdmin::invite(const client::Invite& request, const OwnerKeys* owner,
                                        const std::optional<std::string>& endpoint) {
  if (auto may = check_may_invite(request, owner); !may) return fail(std::move(may.error()));
  if (!endpoint) return fail(Errc::busy, "this node is starting: try again");
  auto pair = CurvePair::generate();
  Ticket ticket{.mesh = roster().mesh,
                .endpoint = *endpoint,
                .server = context_.mesh.self(),
                .invite = std::move(pair.secret),
                .expires_ms = now_ms() + request.expires_s * 1000};
  if (request.share_owner) ticket.owner = owner->seed();
  if (auto kept = keep_invite(pair.public_key, ticket.expires_ms); !kept) {
    return fail(std::move(kept.error()));
  }
  return ticket_text(ticket);
}

Status RosterAdmin::keep_invite(const NodeId& key, std::uint64_t expires_ms) {
  auto invites = invites_;
  invites.drop_expired(now_ms());
  if (auto added = invites.add(key, expires_ms); !added) return added;
  if (auto saved = files_.save_invites(invites.encode()); !saved) return saved;
  invites_ = std::move(invites);
  expire_later(expires_ms);
  events_.invites_changed();
  return {};
}

/// Who came in by a ticket may ask again by it, as the answer may have been lost. Who was removed
/// may not: on disk its ticket is gone before it is, so that no crash leaves it a way back.
Status RosterAdmin::drop_invites_of_removed(const Roster& next) {
  std::set<NodeId> removed;
  for (const auto& member : roster().members) {
    if (next.find(member.node) == nullptr) removed.insert(member.node);
  }
  auto invites = invites_;
  if (!invites.drop_used_by(removed)) return {};
  if (auto saved = files_.save_invites(invites.encode()); !saved) return saved;
  invites_ = std::move(invites);
  events_.invites_changed();
  return {};
}

void RosterAdmin::expire_later(std::uint64_t expires_ms) {
  const auto now = now_ms();
  const Milliseconds wait{expires_ms > now ? expires_ms - now : 0};
  spawn(context_.runtime, expire(weak_from_this(), context_.runtime, wait));
}

Task<void> RosterAdmin::expire(std::weak_ptr<RosterAdmin> weak, Runtime& runtime,
                               Milliseconds wait) {
  co_await runtime.sleep(wait);
  const auto self = weak.lock();
  // A clock that was set back meanwhile leaves the invite to the next change.
  if (self && self->invites_.drop_expired(self->now_ms())) self->events_.invites_changed();
}

/// The invite is used up on disk before the roster that it let the node into, so that no crash
/// makes it good for two.
Status RosterAdmin::join(const NodeId& invite, const peer::Join& request) {
  if (auto may = check_may_administer(); !may) return may;
  if (auto may = invites_.check(invite, request.node, now_ms()); !may) return may;
  const auto* member = roster().find(request.node);
  if (member != nullptr && member->sign_key != request.sign_key) {
    return fail(Errc::denied, "a member with this node's id has another signing key");
  }
  if (member != nullptr) return {};
  const RosterChange change{.node = request.node, .added = member_of(request)};
  // Who is told to wait comes again, with the same ticket and other keys.
  auto next = signed_with(change);
  if (!next) return fail(std::move(next.error()));
  if (auto room = check_room_beside(*next); !room) return room;
  auto invites = invites_;
  invites.mark_used(invite, request.node);
  if (auto saved = files_.save_invites(invites.encode()); !saved) return saved;
  std::swap(invites_, invites);
  auto brought = bring_in(change, std::move(*next));
  // Then no roster is kept, and the ticket has let nobody in.
  if (!brought && brought.error().code == Errc::full) {
    std::swap(invites_, invites);
    static_cast<void>(files_.save_invites(invites_.encode()));
  }
  return brought;
}

}  // namespace zerodb
