#pragma once
// What `zdb client add` prints and a program on another machine connects with: one line of text
// with all that it takes to find a node, to be sure of it, and to be let in. Whoever reads the line
// may do what it allows: it holds a secret. Values; thread-safe.

#include <string>

#include "store/keys.hpp"

namespace zerodb {

struct ClientCredential {
  std::string name;      ///< that the node knows the client by
  std::string endpoint;  ///< of the node's port for clients: "tcp://host:port"
  NodeId server;         ///< the node's CURVE key
  CurvePair keys;        ///< the client's own
};

inline constexpr std::string_view credential_prefix = "zdbclient1-";

std::string credential_text(const ClientCredential& credential);

/// `invalid`, saying whether the text is no credential at all, one that was cut or altered, or one
/// with a character that was mistyped, which is named. White space does not matter.
Result<ClientCredential> parse_credential(std::string_view text);

}  // namespace zerodb
