#include "node/client_gate.hpp"

#include <algorithm>

#include <spdlog/spdlog.h>

#include "bus/client_credential.hpp"

namespace zerodb {

namespace {

constexpr std::uint32_t listed_clients_max = 200;  ///< with all the rights there may be: 1 MiB

client::ClientList::Entry entry_of(const ClientKey& client, std::uint64_t now_ms) {
  return {.client_name = client.name,
          .key = client.key.hex(),
          .read = client.rights.read,
          .write = client.rights.write,
          .remove = client.rights.remove,
          .created_ms = client.created_ms,
          .expires_ms = client.expires_ms,
          .expired = client.is_expired(now_ms)};
}

Status check_expires(const std::optional<std::uint64_t>& expires_s) {
  if (!expires_s || (*expires_s > 0 && *expires_s <= client_expires_s_max)) return {};
  return fail(Errc::invalid, "a credential expires after 1 second to 100 years, or never");
}

}  // namespace

ClientGate::ClientGate(Runtime& runtime, ClientHandler& node, const NodeId& server,
                       ClientKeysFile file)
    : runtime_(runtime), node_(node), server_(server), save_(std::move(file.save)) {
  auto keys = ClientKeys::decode(file.content);
  if (keys) {
    keys_ = std::move(*keys);
  } else {
    trouble_ = std::move(keys.error());
  }
}

bool ClientGate::admits(const NodeId& key) const {
  return keys_.check(key, runtime_.now_ms()).has_value();
}

Task<Result<ClientAnswer>> ClientGate::on_client_request(ClientId client, ClientIdentity identity,
                                                         client::Request request, Payload payload) {
  if (identity.credential) {
    return on_remote(client, *identity.credential, std::move(request), std::move(payload));
  }
  return on_local(client, std::move(request), std::move(payload));
}

void ClientGate::on_client_gone(ClientId client) {
  drop(client);
}

// -------------------------------------------------------------------------------------- remote

/// Once a credential is good no more, what its connections left open goes; a resumable upload when
/// its time is up, as nobody else can go on with it.
Result<const ClientKey*> ClientGate::credential_of(ClientId client, const NodeId& key) {
  auto known = keys_.check(key, runtime_.now_ms());
  if (!known && remote_.contains(client)) drop(client);
  return known;
}

void ClientGate::drop(ClientId client) {
  remote_.erase(client);
  node_.on_client_gone(client);
}

void ClientGate::drop_all_of(const NodeId& credential) {
  std::vector<ClientId> theirs;
  for (const auto& [client, key] : remote_) {
    if (key == credential) theirs.push_back(client);
  }
  for (const auto client : theirs)
    drop(client);
}

Status ClientGate::check(ClientId client, const NodeId& key, const client::Request& request) {
  const auto known = credential_of(client, key);
  if (!known) return fail(known.error());
  return check_allowed((*known)->rights, request);
}

/// A credential may end while a request is under way: then its answer is for nobody any more.
Task<Result<ClientAnswer>> ClientGate::on_remote(ClientId client, NodeId key,
                                                 client::Request request, Payload payload) {
  if (auto allowed = check(client, key, request); !allowed) {
    co_return fail(std::move(allowed.error()));
  }
  remote_.emplace(client, key);
  auto answer = co_await node_.on_client_request(client, ClientIdentity{key}, std::move(request),
                                                 std::move(payload));
  const auto known = credential_of(client, key);
  if (known) co_return answer;
  node_.on_client_gone(client);  // what the request opened
  co_return fail(known.error());
}

// --------------------------------------------------------------------------------------- local

Task<Result<ClientAnswer>> ClientGate::on_local(ClientId client, client::Request request,
                                                Payload payload) {
  if (auto* asked = std::get_if<client::ClientAdd>(&request)) co_return add(std::move(*asked));
  if (const auto* asked = std::get_if<client::ClientList>(&request)) co_return list(*asked);
  if (const auto* asked = std::get_if<client::ClientRevoke>(&request)) co_return revoke(*asked);
  auto answer =
      co_await node_.on_client_request(client, {}, std::move(request), std::move(payload));
  auto* status = answer ? std::get_if<client::Status::Reply>(&answer->message) : nullptr;
  if (status != nullptr && !endpoint_.empty()) status->client_endpoint = endpoint_;
  co_return answer;
}

Status ClientGate::check_administered() const {
  if (!trouble_) return {};
  return fail(trouble_->code, trouble_->what +
                                  ": restore the file 'clients' in the node's data folder from a "
                                  "copy, or remove it and give out new credentials, and restart "
                                  "the node");
}

Result<ClientAnswer> ClientGate::add(client::ClientAdd request) {
  if (auto able = check_administered(); !able) return fail(std::move(able.error()));
  if (endpoint_.empty()) {
    return fail(Errc::invalid,
                "this node does not listen for clients over the network: set client_listen in its "
                "config.toml, and restart it");
  }
  if (auto checked = check_expires(request.expires_s); !checked) {
    return fail(std::move(checked.error()));
  }
  const ClientCredential credential{.name = request.client_name,
                                    .endpoint = endpoint_,
                                    .server = server_,
                                    .keys = CurvePair::generate()};
  const auto now_ms = runtime_.now_ms();
  ClientKey client{
      .name = std::move(request.client_name),
      .key = credential.keys.public_key,
      .rights = {std::move(request.read), std::move(request.write), std::move(request.remove)},
      .created_ms = now_ms};
  if (request.expires_s) client.expires_ms = now_ms + *request.expires_s * 1000;
  auto changed = keys_;
  if (auto added = changed.add(std::move(client), now_ms); !added) {
    return fail(std::move(added.error()));
  }
  if (auto saved = save_(changed.encode()); !saved) return fail(std::move(saved.error()));
  keys_ = std::move(changed);
  struck_out_.clear();
  spdlog::info("client '{}' may come in from now on", credential.name);
  return ClientAnswer{client::Text{credential_text(credential)}, {}};
}

Result<ClientAnswer> ClientGate::list(const client::ClientList& request) const {
  if (auto able = check_administered(); !able) return fail(std::move(able.error()));
  const std::size_t limit = std::clamp(request.limit, 1U, listed_clients_max);
  const auto page = keys_.page(request.after, limit + 1);
  client::ClientList::Reply reply{.more = page.size() > limit};
  for (const auto* client : page) {
    if (reply.entries.size() < limit) reply.entries.push_back(entry_of(*client, runtime_.now_ms()));
  }
  return ClientAnswer{std::move(reply), {}};
}

/// Out first, for good second: what cannot be written down still holds until the node stops.
Result<ClientAnswer> ClientGate::revoke(const client::ClientRevoke& request) {
  if (auto able = check_administered(); !able) return fail(std::move(able.error()));
  const auto& name = request.client_name;
  if (const auto revoked = keys_.revoke(name)) {
    spdlog::info("client '{}' is revoked", name);
    drop_all_of(revoked->key);
    struck_out_.insert(name);
  } else if (!struck_out_.contains(name)) {
    return fail(revoked.error());
  }
  if (auto saved = save_(keys_.encode()); !saved) {
    return fail("'" + name + "' is revoked only until this node stops", std::move(saved.error()));
  }
  struck_out_.clear();
  return ClientAnswer{client::Ok{}, {}};
}

}  // namespace zerodb
