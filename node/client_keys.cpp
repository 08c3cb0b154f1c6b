#include "node/client_keys.hpp"

#include <algorithm>

#include "node/roster.hpp"
#include "store/clock.hpp"
#include "store/fields.hpp"
#include "store/hash.hpp"

namespace zerodb {

namespace {

// magic ‖ format ‖ msgpack ‖ checksum over all before
constexpr std::string_view keys_magic = "zdb-clnt";
constexpr std::uint8_t keys_format_known = 1;
constexpr std::string_view keys_domain = "zerodb clients";
constexpr std::size_t keys_checksum_bytes = 32;

/// Of all clients; with as many clients as may be the file is below its limit then.
constexpr std::size_t rights_bytes_max = 8 << 20;

std::size_t bytes_of(const ClientRights& rights) {
  std::size_t bytes = 0;
  for (const auto* prefixes : {&rights.read, &rights.write, &rights.remove}) {
    for (const auto& prefix : *prefixes)
      bytes += prefix.size();
  }
  return bytes;
}

struct KeptClient {
  std::string name;
  NodeId key;
  std::vector<std::string> read;
  std::vector<std::string> write;
  std::vector<std::string> remove;
  std::uint64_t created_ms = 0;
  std::optional<std::uint64_t> expires_ms;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("name", self.name);
    field("key", self.key);
    field("read", self.read);
    field("write", self.write);
    field("delete", self.remove);
    field("created_ms", self.created_ms);
    field("expires_ms", self.expires_ms);
  }
};

struct KeptClients {
  std::vector<KeptClient> clients;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("clients", self.clients);
  }
};

tl::unexpected<Error> keys_damaged() {
  return fail(Errc::corrupt, "the list of clients is damaged");
}

/// The msgpack in a file whose frame is right.
Result<ByteView> unframed(ByteView file) {
  const auto head_bytes = keys_magic.size() + 1;
  if (file.size() < head_bytes + keys_checksum_bytes) return keys_damaged();
  if (as_text(file.first(keys_magic.size())) != keys_magic) return keys_damaged();
  if (file[keys_magic.size()] > keys_format_known) {
    return fail(Errc::invalid,
                "the list of clients has a newer format than this program knows: "
                "install a newer zerodb");
  }
  const auto framed = file.first(file.size() - keys_checksum_bytes);
  const auto checksum = blake2b_256(keys_domain, {framed});
  if (!std::ranges::equal(checksum, file.last(keys_checksum_bytes))) return keys_damaged();
  return framed.subspan(head_bytes);
}

Status check_client(const ClientKey& client) {
  if (auto named = check_node_name(client.name); !named) {
    return fail(Errc::invalid, "client name '" + printable(client.name.substr(0, 80)) +
                                   "': 1 to 64 letters, digits, '-', '_' and '.' allowed");
  }
  return check_rights(client.rights);
}

}  // namespace

Result<ClientKeys> ClientKeys::decode(ByteView bytes) {
  ClientKeys keys;
  if (bytes.empty()) return keys;
  const auto body = unframed(bytes);
  if (!body) return fail(body.error());
  auto kept = fields::decode<KeptClients>(
      *body, {.bytes = client_keys_bytes_max, .array = client_keys_max});
  if (!kept) return keys_damaged();
  for (auto& one : kept->clients) {
    ClientKey client{.name = std::move(one.name),
                     .key = one.key,
                     .rights = {std::move(one.read), std::move(one.write), std::move(one.remove)},
                     .created_ms = one.created_ms,
                     .expires_ms = one.expires_ms};
    if (!check_client(client) || keys.clients_.contains(client.name) ||
        keys.names_.contains(client.key)) {
      return keys_damaged();
    }
    keys.put(std::move(client));
  }
  return keys;
}

Bytes ClientKeys::encode() const {
  KeptClients kept;
  for (const auto& [name, client] : clients_) {
    kept.clients.push_back({.name = name,
                            .key = client.key,
                            .read = client.rights.read,
                            .write = client.rights.write,
                            .remove = client.rights.remove,
                            .created_ms = client.created_ms,
                            .expires_ms = client.expires_ms});
  }
  const auto body = fields::encode(kept);
  Bytes file(keys_magic.begin(), keys_magic.end());
  file.push_back(keys_format_known);
  file.insert(file.end(), body.begin(), body.end());
  const auto checksum = blake2b_256(keys_domain, {file});
  file.insert(file.end(), checksum.begin(), checksum.end());
  return file;
}

Status ClientKeys::add(ClientKey client, std::uint64_t now_ms) {
  if (auto checked = check_client(client); !checked) return checked;
  const auto known = clients_.find(client.name);
  if (known != clients_.end() && !known->second.is_expired(now_ms)) {
    return fail(Errc::invalid, "there is a client '" + client.name +
                                   "' already: choose another name, or revoke it first with: zdb "
                                   "client revoke " +
                                   client.name);
  }
  if (known != clients_.end()) drop(known);
  if (auto room = check_room(now_ms); !room) return room;
  if (rights_bytes_ + bytes_of(client.rights) > rights_bytes_max) {
    return fail(Errc::full, "the rights of all clients take too much room: revoke some");
  }
  put(std::move(client));
  return {};
}

/// Room for one more; those that have expired make it.
Status ClientKeys::check_room(std::uint64_t now_ms) {
  if (clients_.size() < client_keys_max) return {};
  for (auto client = clients_.begin(); client != clients_.end();) {
    const auto one = client++;
    if (one->second.is_expired(now_ms)) drop(one);
  }
  if (clients_.size() < client_keys_max) return {};
  return fail(Errc::full, "there are " + std::to_string(client_keys_max) +
                              " clients, and more may not be: revoke some");
}

Result<ClientKey> ClientKeys::revoke(std::string_view name) {
  const auto found = clients_.find(name);
  if (found == clients_.end()) {
    return fail(Errc::not_found,
                "there is no client '" + printable(name.substr(0, 80)) + "'; see: zdb client list");
  }
  auto client = found->second;
  drop(found);
  return client;
}

Result<const ClientKey*> ClientKeys::check(const NodeId& key, std::uint64_t now_ms) const {
  const auto name = names_.find(key);
  if (name == names_.end()) {
    return fail(Errc::denied, "this credential is not, or no longer, valid here: it was revoked");
  }
  const auto& client = clients_.find(name->second)->second;
  if (!client.is_expired(now_ms)) return &client;
  return fail(Errc::denied,
              "this credential expired at " + to_string(Version::at(*client.expires_ms)));
}

std::vector<const ClientKey*> ClientKeys::page(std::string_view after, std::size_t limit) const {
  std::vector<const ClientKey*> page;
  for (auto at = clients_.upper_bound(after); at != clients_.end() && page.size() < limit; ++at)
    page.push_back(&at->second);
  return page;
}

void ClientKeys::put(ClientKey client) {
  names_.emplace(client.key, client.name);
  rights_bytes_ += bytes_of(client.rights);
  const auto name = client.name;
  clients_.emplace(name, std::move(client));
}

void ClientKeys::drop(std::map<std::string, ClientKey, std::less<>>::iterator client) {
  names_.erase(client->second.key);
  rights_bytes_ -= bytes_of(client->second.rights);
  clients_.erase(client);
}

}  // namespace zerodb
