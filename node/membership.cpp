#include <spdlog/spdlog.h>

#include "node/membership_impl.hpp"

namespace zerodb {

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
    std::erase_if(impl->learnt_ms_, [&](const auto& l) { return !impl->roster().find(l.first); });
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

/// What stands until now stays in force beside it, so that is kept first.
Status Membership::Impl::keep_roster(const SignedRoster& next) const {
  auto older = context_.mesh.older_rosters();
  older.push_back(context_.mesh.signed_roster());
  const auto over_before = context_.mesh.over_before();
  if (auto saved = files_.save_older_rosters(older, over_before); !saved) return saved;
  return files_.save_roster(next);
}

/// More of them than need be are kept if this fails: that costs some work, and no data.
void Membership::Impl::keep_older() {
  const auto older = context_.mesh.older_rosters();
  std::vector<RosterHash> hashes;
  for (const auto& roster : older)
    hashes.push_back(roster.hash());
  const auto over_before = context_.mesh.over_before();
  if (hashes == older_kept_ && over_before == over_before_kept_) return;
  if (auto saved = files_.save_older_rosters(older, over_before); !saved) {
    spdlog::warn("membership: the rosters in force are not kept: {}", saved.error().what);
    return;
  }
  older_kept_ = std::move(hashes);
  over_before_kept_ = over_before;
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
  co_return PeerAnswer{.message = peer::Ok{}};
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
