#pragma once
// What `zdb invite` prints and `zerodb-node join` takes: one line of text with all that a new node
// needs to find the mesh and to be let in once. Whoever reads it can join, and with a shared owner
// also read and write everything: it holds secrets. Values; thread-safe.

#include <optional>
#include <string>

#include "store/keys.hpp"

namespace zerodb {

struct Ticket {
  MeshId mesh;
  std::string endpoint;          ///< of the node that invites: "tcp://host:port"
  NodeId server;                 ///< its CURVE key
  CurveSecret invite;            ///< secret half of the invite's key pair
  std::uint64_t expires_ms = 0;  ///< UTC
  std::optional<Seed> owner;     ///< of the owner to share
};

std::string ticket_text(const Ticket& ticket);

/// `invalid`, saying whether the text is no ticket at all, or one that was cut or altered. White
/// space around it, and line breaks within, do not matter.
Result<Ticket> parse_ticket(std::string_view text);

/// `denied` once the ticket has expired.
Status check_not_expired(const Ticket& ticket, std::uint64_t now_ms);

}  // namespace zerodb
