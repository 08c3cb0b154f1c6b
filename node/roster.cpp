#include "node/roster.hpp"

#include <algorithm>
#include <set>
#include <tuple>

#include "node/host_port.hpp"
#include "store/fields.hpp"
#include "store/hash.hpp"

namespace zerodb {

namespace {

constexpr std::string_view roster_domain = "zerodb roster v1";
constexpr std::string_view record_domain = "zerodb record v1";
constexpr std::size_t word_bytes_max = 64;
constexpr std::uint32_t weight_max = 10'000;

constexpr fields::Limits roster_limits{.bytes = 1 << 20,
                                       .array = members_max,
                                       .map = 32,
                                       .string = 255,
                                       .binary = 64,
                                       .depth = 6,
                                       .items = 1 << 14};  // of 1000 members and 16 changes: 15,488
constexpr fields::Limits record_limits{
    .bytes = 4096, .array = 16, .map = 32, .string = endpoint_bytes_max, .binary = 64, .depth = 4};

Bytes signed_bytes(std::string_view domain, ByteView body) {
  Bytes message(domain.begin(), domain.end());
  message.insert(message.end(), body.begin(), body.end());
  return message;
}

Bytes sign_body(std::string_view domain, Bytes body, const SigningKey& key) {
  const auto signature = key.sign(signed_bytes(domain, body));
  body.insert(body.end(), signature.view().begin(), signature.view().end());
  return body;
}

/// The body of `wire` = body ‖ signature.
Result<ByteView> body_of(ByteView wire) {
  if (wire.size() <= Signature::size) return fail(Errc::invalid, "cut short");
  return wire.first(wire.size() - Signature::size);
}

bool is_signed_by(const SignKey& signer, std::string_view domain, ByteView wire) {
  const auto body = wire.first(wire.size() - Signature::size);
  const auto signature = Signature::from(wire.last(Signature::size));
  return signature && verify(signer.view(), signed_bytes(domain, body), *signature);
}

bool is_name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

bool is_short_word(std::string_view text) {
  return text.size() <= word_bytes_max && std::ranges::all_of(text, is_name_char);
}

Status check_member(const RosterMember& member) {
  if (member.node.is_zero()) return fail(Errc::invalid, "a member without an id");
  if (member.sign_key.is_zero()) return fail(Errc::invalid, "a member without a signing key");
  if (member.weight < 1 || member.weight > weight_max) {
    return fail(Errc::invalid, "weight " + std::to_string(member.weight) + " of a member, 1 to " +
                                   std::to_string(weight_max) + " allowed");
  }
  if (auto named = check_node_name(member.name); !named) return named;
  return check_zone(member.zone);
}

Status check_roster(const Roster& roster) {
  if (roster.version == 0) return fail(Errc::invalid, "version 0");
  if (roster.members.empty() || roster.members.size() > members_max) {
    return fail(Errc::invalid, std::to_string(roster.members.size()) + " members, 1 to " +
                                   std::to_string(members_max) + " allowed");
  }
  if (roster.changes.size() > changes_kept) {
    return fail(Errc::invalid, std::to_string(roster.changes.size()) + " changes, at most " +
                                   std::to_string(changes_kept) + " allowed");
  }
  std::set<NodeId> ids;
  std::set<std::string_view> names;
  for (const auto& member : roster.members) {
    if (auto checked = check_member(member); !checked) return checked;
    if (!ids.insert(member.node).second) return fail(Errc::invalid, "a node is listed twice");
    if (!names.insert(member.name).second) {
      return fail(Errc::invalid, "two members are named '" + member.name + "'");
    }
  }
  return {};
}

}  // namespace

// -------------------------------------------------------------------------------------- rosters

const RosterMember* Roster::find(const NodeId& node) const {
  const auto found = std::ranges::find(members, node, &RosterMember::node);
  return found == members.end() ? nullptr : &*found;
}

const RosterMember* Roster::find_name(std::string_view name) const {
  const auto found = std::ranges::find(members, name, &RosterMember::name);
  return found == members.end() ? nullptr : &*found;
}

SignedRoster::SignedRoster(Roster roster, Bytes wire)
    : roster_(std::move(roster)),
      wire_(std::move(wire)),
      hash_(hash_to<RosterHash>("zerodb roster",
                                {ByteView(wire_).first(wire_.size() - Signature::size)})) {}

SignedRoster SignedRoster::sign(const Roster& roster, const SigningKey& mesh_key) {
  return {roster, sign_body(roster_domain, fields::encode(roster), mesh_key)};
}

Result<SignedRoster> SignedRoster::verify(ByteView wire, const MeshId& mesh) {
  auto body = body_of(wire);
  if (!body) return fail("roster", std::move(body.error()));
  auto roster = fields::decode<Roster>(*body, roster_limits);
  if (!roster) return fail("roster", std::move(roster.error()));
  if (!mesh.is_zero() && roster->mesh != mesh) {
    return fail(Errc::denied,
                "roster: of the mesh " + roster->mesh.short_hex() + ", not of " + mesh.short_hex());
  }
  if (!is_signed_by(*SignKey::from(roster->mesh.view()), roster_domain, wire)) {
    return fail(Errc::corrupt, "roster: not signed by the key of its mesh");
  }
  if (auto checked = check_roster(*roster); !checked) {
    return fail("roster", std::move(checked.error()));
  }
  return SignedRoster(std::move(*roster), to_bytes(wire));
}

bool stands_over(std::uint64_t version, const RosterHash& hash, const SignedRoster& known) {
  return std::tie(version, hash) > std::tie(known->version, known.hash());
}

bool stands_over(const SignedRoster& roster, const SignedRoster& known) {
  return stands_over(roster->version, roster.hash(), known);
}

// -------------------------------------------------------------------------------------- records

SignedRecord SignedRecord::sign(const NodeRecord& record, const SigningKey& node_key) {
  SignedRecord made;
  made.record_ = record;
  made.wire_ = sign_body(record_domain, fields::encode(record), node_key);
  return made;
}

Result<SignedRecord> SignedRecord::verify(ByteView wire, const Roster& roster) {
  auto body = body_of(wire);
  if (!body) return fail("node record", std::move(body.error()));
  auto record = fields::decode<NodeRecord>(*body, record_limits);
  if (!record) return fail("node record", std::move(record.error()));
  const auto* member = roster.find(record->node);
  if (member == nullptr) {
    return fail(Errc::denied, "node record: " + record->node.short_hex() + " is not a member");
  }
  if (!is_signed_by(member->sign_key, record_domain, wire)) {
    return fail(Errc::corrupt, "node record: not signed by " + member->name);
  }
  for (const auto& endpoint : {record->endpoint, record->broadcast_endpoint}) {
    if (auto parsed = parse_endpoint(endpoint); !parsed) {
      return fail("node record of " + member->name, std::move(parsed.error()));
    }
  }
  SignedRecord made;
  made.record_ = std::move(*record);
  made.wire_ = to_bytes(wire);
  return made;
}

// ---------------------------------------------------------------------------------------- names

Status check_node_name(std::string_view name) {
  if (!name.empty() && is_short_word(name)) return {};
  return fail(Errc::invalid, "node name '" + printable(name) +
                                 "': 1 to 64 letters, digits, '-', '_' and '.' allowed");
}

Status check_zone(std::string_view zone) {
  if (is_short_word(zone)) return {};
  return fail(Errc::invalid, "zone '" + printable(zone) +
                                 "': at most 64 letters, digits, '-', '_' and '.' allowed");
}

}  // namespace zerodb
