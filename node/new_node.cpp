#include "node/new_node.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "bus/zmq_links.hpp"
#include "node/config.hpp"
#include "node/data_folder.hpp"

namespace zerodb {

namespace {

constexpr Milliseconds join_timeout{15'000};

std::uint64_t now_ms() {
  const auto since = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<Milliseconds>(since).count());
}

std::string name_of(const NewNodeOptions& options) {
  return options.name.empty() ? default_node_name() : options.name;
}

/// All that can be known to be wrong before anything is made.
Result<Config> check_options(const NewNodeOptions& options) {
  if (auto named = check_node_name(name_of(options)); !named) {
    return fail(std::move(named.error()));
  }
  if (auto zoned = check_zone(options.zone); !zoned) return fail(std::move(zoned.error()));
  Config config{.listen = options.listen, .advertise = options.advertise};
  if (auto checked = check_config(config); !checked) return fail(std::move(checked.error()));
  return config;
}

Status save_owner(const DataFolder& folder, const Seed& seed, const NewNodeOptions& options) {
  std::optional<std::string_view> passphrase;
  if (options.passphrase) passphrase = options.passphrase->view();
  return SeedFile::save(folder.owner_key(), seed, passphrase);
}

/// The owner's key, unless the node is to be blind.
Result<std::optional<OwnerId>> make_owner(const DataFolder& folder, const NewNodeOptions& options,
                                          const std::optional<Seed>& shared) {
  if (options.blind) return std::optional<OwnerId>();
  const auto seed = shared ? shared->clone() : Seed::random();
  if (auto saved = save_owner(folder, seed, options); !saved) return fail(std::move(saved.error()));
  return std::optional(OwnerKeys(seed).id());
}

struct Beginning {
  NewDataFolder folder;
  NodeKeys keys;
  std::optional<OwnerId> owner;
};

/// What a founding and a joining node have in common.
Result<Beginning> begin_node(const NewNodeOptions& options, const std::optional<Seed>& shared) {
  const auto config = check_options(options);
  if (!config) return fail(config.error());
  auto made = NewDataFolder::begin(options.data);
  if (!made) return fail(std::move(made.error()));
  const auto& folder = made->folder();
  auto keys = NodeKeys::generate();
  auto saved = write_secret_file(folder.config(), as_bytes(config_text(*config)));
  if (saved) saved = NodeKeyFile::save(folder.node_key(), keys);
  if (!saved) return fail(std::move(saved.error()));
  auto owner = make_owner(folder, options, shared);
  if (!owner) return fail(std::move(owner.error()));
  return Beginning{std::move(*made), std::move(keys), *owner};
}

RosterMember member_of(const NewNodeOptions& options, const NodeKeys& keys) {
  return {.node = keys.curve.public_key,
          .sign_key = keys.sign.public_key(),
          .name = name_of(options),
          .zone = options.zone,
          .weight = weight_default,
          .blind = options.blind};
}

/// Asks the node that invited; answers its roster, with us in it, and the records it knows.
Result<peer::GetRoster::Reply> ask_to_join(const Ticket& ticket, const RosterMember& member) {
  const auto invite = CurvePair::from_secret(ticket.invite.clone());
  const peer::Join request{.node = member.node,
                           .sign_key = member.sign_key,
                           .node_name = member.name,
                           .zone = member.zone,
                           .weight = member.weight,
                           .blind = member.blind};
  auto answer = call_once(ticket.endpoint, ticket.server, invite, request, join_timeout);
  if (!answer) return fail("joining", std::move(answer.error()));
  auto* reply = std::get_if<peer::GetRoster::Reply>(&answer->message);
  if (reply == nullptr) return fail(Errc::invalid, "joining: the node answered something else");
  return std::move(*reply);
}

Result<SignedRoster> check_roster(const peer::GetRoster::Reply& reply, const Ticket& ticket,
                                  const RosterMember& member) {
  auto roster = SignedRoster::verify(reply.roster, ticket.mesh);
  if (!roster) return fail("joining", std::move(roster.error()));
  const auto* listed = (*roster)->find(member.node);
  if (listed == nullptr || listed->sign_key != member.sign_key) {
    return fail(Errc::invalid, "joining: the roster that came back does not list this node");
  }
  return roster;
}

/// Rosters in force beside the one that stands, oldest first.
Result<std::vector<SignedRoster>> check_older(const peer::GetRoster::Reply& reply,
                                              const Ticket& ticket) {
  std::vector<SignedRoster> rosters;
  for (const auto& wire : reply.older) {
    auto roster = SignedRoster::verify(wire, ticket.mesh);
    if (!roster) return fail("joining: an older roster", std::move(roster.error()));
    rosters.push_back(std::move(*roster));
  }
  return rosters;
}

/// The latest roster without the new node: under it the node holds all that is placed on it, which
/// is nothing. So its store counts as whole until it is lost.
Status save_last_without(const DataFolder& folder, const NodeId& node,
                         const std::vector<SignedRoster>& older) {
  const auto last = std::find_if(older.rbegin(), older.rend(), [&](const SignedRoster& roster) {
    return roster->find(node) == nullptr;
  });
  if (last == older.rend()) return {};
  return folder.save_settled_roster(*last);
}

}  // namespace

Status check_new_node(const NewNodeOptions& options) {
  auto checked = check_options(options);
  return checked ? Status{} : fail(std::move(checked.error()));
}

Result<NewNode> init_node(const NewNodeOptions& options) {
  auto begun = begin_node(options, {});
  if (!begun) return fail(std::move(begun.error()));
  const auto& folder = begun->folder.folder();
  const auto mesh_key = SigningKey::generate();
  const auto mesh = *MeshId::from(mesh_key.public_key().view());
  const Roster roster{.mesh = mesh, .version = 1, .members = {member_of(options, begun->keys)}};
  const auto signed_roster = SignedRoster::sign(roster, mesh_key);
  auto saved = SeedFile::save(folder.mesh_key(), mesh_key.seed(), std::nullopt);
  if (saved) saved = folder.save_roster(signed_roster);
  if (saved) saved = folder.save_settled_roster(signed_roster);
  if (saved) saved = begun->folder.finish();
  if (!saved) return fail(std::move(saved.error()));
  return NewNode{.node = begun->keys.curve.public_key,
                 .name = name_of(options),
                 .mesh = mesh,
                 .members = 1,
                 .owner = begun->owner,
                 .shared_owner = false};
}

Result<NewNode> join_node(const NewNodeOptions& options, const Ticket& ticket) {
  if (auto valid = check_not_expired(ticket, now_ms()); !valid) {
    return fail(std::move(valid.error()));
  }
  // All that the disk may refuse comes before the ticket is used up.
  auto begun = begin_node(options, ticket.owner);
  if (!begun) return fail(std::move(begun.error()));
  const auto& folder = begun->folder.folder();
  const auto member = member_of(options, begun->keys);
  const auto reply = ask_to_join(ticket, member);
  if (!reply) return fail(reply.error());
  const auto roster = check_roster(*reply, ticket, member);
  if (!roster) return fail(roster.error());
  const auto older = check_older(*reply, ticket);
  if (!older) return fail(older.error());
  auto saved = folder.save_older_rosters(*older, oldest_in_force(*roster, *older));
  if (saved) saved = folder.save_roster(*roster);
  if (saved) saved = save_last_without(folder, member.node, *older);
  if (saved) saved = folder.save_records(reply->records);
  if (saved) saved = begun->folder.finish();
  if (!saved) return fail(std::move(saved.error()));
  return NewNode{.node = member.node,
                 .name = member.name,
                 .mesh = ticket.mesh,
                 .members = (*roster)->members.size(),
                 .owner = begun->owner,
                 .shared_owner = begun->owner && ticket.owner};
}

std::string default_node_name() {
  std::array<char, 65> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) return "node";
  std::string name(host.data());
  for (auto& c : name) {
    if (!check_node_name(std::string_view(&c, 1))) c = '-';
  }
  return name.empty() ? "node" : name;
}

}  // namespace zerodb
