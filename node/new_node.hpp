#pragma once
// What `zerodb-node init` and `zerodb-node join` do: make a data folder for a node that founds a
// mesh, or for one that joins with a ticket. Either all of it is there afterwards, or nothing.
// Blocking; call initialise_crypto() before.

#include <filesystem>
#include <optional>
#include <string>

#include "node/passphrase.hpp"
#include "node/ticket.hpp"

namespace zerodb {

struct NewNodeOptions {
  std::filesystem::path data;
  std::string name;  ///< empty: the machine's name
  std::string zone;
  std::string listen = "127.0.0.1:7710";
  std::string advertise;
  bool blind = false;
  std::optional<Passphrase> passphrase;  ///< for the owner's key
};

/// What was made, for a person to read.
struct NewNode {
  NodeId node;
  std::string name;
  MeshId mesh;
  std::size_t members = 1;
  std::optional<OwnerId> owner;
  bool shared_owner = false;  ///< the owner came with the ticket
};

/// `invalid` when a name or an address cannot be: known before anything is made.
Status check_new_node(const NewNodeOptions& options);

Result<NewNode> init_node(const NewNodeOptions& options);
Result<NewNode> join_node(const NewNodeOptions& options, const Ticket& ticket);

/// The machine's name with what a node's name may not hold replaced.
std::string default_node_name();

}  // namespace zerodb
