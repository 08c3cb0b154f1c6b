#pragma once
// Rosters for tests, with ids that are the same in every run. Any thread.

#include <string>

#include "node/roster.hpp"
#include "store/hash.hpp"

namespace zerodb::test {

inline const bool crypto_ready = initialise_crypto().has_value();

/// The node id n n n ...
inline NodeId node_id(std::uint8_t n) {
  NodeId id;
  std::ranges::fill(id.mutable_view(), n);
  return id;
}

inline Seed seed_of(std::uint8_t n) {
  Seed seed;
  std::ranges::fill(seed.mutable_view(), n);
  return seed;
}

inline SigningKey mesh_key(std::uint8_t n = 200) {
  return SigningKey(seed_of(n));
}
inline SigningKey node_key(std::uint8_t n) {
  return SigningKey(seed_of(n));
}

inline MeshId mesh_id(const SigningKey& key) {
  return *MeshId::from(key.public_key().view());
}

/// Member n is "node<n>" and signs with node_key(n).
inline RosterMember member(std::uint8_t n, std::string zone = {}, std::uint32_t weight = 100) {
  return {.node = node_id(n),
          .sign_key = node_key(n).public_key(),
          .name = "node" + std::to_string(n),
          .zone = std::move(zone),
          .weight = weight,
          .blind = false};
}

/// Members 1..count of one mesh, each in no zone.
inline Roster roster_of(std::uint8_t count, std::uint64_t version = 1) {
  Roster roster{.mesh = mesh_id(mesh_key()), .version = version, .members = {}};
  for (std::uint8_t n = 1; n <= count; ++n)
    roster.members.push_back(member(n));
  return roster;
}

}  // namespace zerodb::test
