#include "tests/node/gateway_mesh.hpp"

namespace zerodb::test {
namespace {

Task<Result<WriteReceipt>> put_chunks(Gateway& gateway, PutSpec spec, ByteView content) {
  auto stream = co_await gateway.put(std::move(spec));
  if (!stream) co_return fail(std::move(stream.error()));
  for (std::size_t at = 0; at < content.size(); at += chunk_bytes_max) {
    const auto chunk =
        content.subspan(at, std::min<std::size_t>(chunk_bytes_max, content.size() - at));
    auto taken = co_await (*stream)->write(Payload::copy_of(chunk));
    if (!taken) co_return fail(std::move(taken.error()));
  }
  co_return co_await (*stream)->finish(content.size());
}

Task<Result<Bytes>> get_all(Gateway& gateway, std::string name) {
  auto stream = co_await gateway.get(std::move(name));
  if (!stream) co_return fail(std::move(stream.error()));
  Bytes content;
  while (content.size() < (*stream)->manifest().size) {
    auto part = co_await (*stream)->read(content.size(), chunk_bytes_max);
    if (!part) co_return fail(std::move(part.error()));
    content.insert(content.end(), part->view().begin(), part->view().end());
  }
  co_return content;
}

}  // namespace

Task<Result<PeerAnswer>> SlowLinks::call(NodeId to, peer::Request request, Payload payload,
                                         Milliseconds timeout) {
  const bool bulk = std::holds_alternative<peer::PutChunk>(request) ||
                    std::holds_alternative<peer::PutCommit>(request) ||
                    std::holds_alternative<peer::GetChunk>(request);
  const auto name = std::visit([](const auto& message) { return message.name; }, request);
  const auto delay = delays.find(to);
  if (bulk && delay != delays.end()) co_await runtime_.sleep(delay->second);
  const auto delay_of = delays_of.find({name, to});
  if (delay_of != delays_of.end()) co_await runtime_.sleep(delay_of->second);
  co_return co_await links_.call(to, std::move(request), std::move(payload), timeout);
}

void SlowLinks::publish(const ObjectId& about, broadcast::Message message) {
  if (publishes) links_.publish(about, std::move(message));
}

void SlowLinks::subscribe(std::set<Partition> partitions, std::set<OwnerId> owners) {
  links_.subscribe(std::move(partitions), std::move(owners));
}

GatewayMesh::GatewayMesh(std::size_t nodes, GatewayMeshOptions options)
    : mesh(nodes, options.mesh), keys(OwnerKeys::generate()) {
  for (std::size_t i = 0; i < nodes; ++i) {
    auto& node = mesh[i];
    links.emplace_back(node);
    options.gateway.on_found = [&node](const NodeId& holder, Bytes manifest) {
      node.reconcile->on_news(holder, std::move(manifest));
    };
    auto& gateway = gateways.emplace_back(context(i), OwnerKeys(keys.seed()), options.gateway);
    node.follow({keys.id()});
    node.on_have = [&](NodeId from, const peer::Have& have) { gateway.on_have(from, have); };
    node.is_followed = [&] { return gateway.is_followed(); };
    node.on_news = [&](ByteView manifest) { gateway.on_news(manifest); };
  }
}

NodeContext GatewayMesh::context(std::size_t index) {
  auto& node = mesh[index];
  return {.runtime = node.runtime,
          .links = links[index],
          .store = node.store,
          .mesh = node.mesh,
          .sign_key = &node.keys.sign};
}

void GatewayMesh::let_nobody_be_late() {
  auto& options = mesh.network().options();
  options.delay_min_us = options.delay_max_us;
}

/// What ends behind an acknowledgement ends before the nodes do. Lies end here: what they are made
/// of may be gone with the test's own variables.
GatewayMesh::~GatewayMesh() {
  mesh.network().on_answer = {};
  mesh.world().run_for(std::chrono::seconds(60));
}

Result<WriteReceipt> GatewayMesh::put(std::size_t from, const std::string& name, ByteView content) {
  if (content.size() > inline_bytes_max) return put_stream(from, name, content);
  return mesh.run(gateways[from].put_small({.name = name}, Payload::copy_of(content)));
}

Result<WriteReceipt> GatewayMesh::put_stream(std::size_t from, const std::string& name,
                                             ByteView content) {
  return mesh.run(put_chunks(gateways[from], {.name = name}, content));
}

Task<Result<WriteReceipt>> GatewayMesh::putting(std::size_t from, std::string name,
                                                ByteView content) {
  return put_chunks(gateways[from], {.name = std::move(name)}, content);
}

Result<Bytes> GatewayMesh::get(std::size_t at, const std::string& name) {
  return mesh.run(get_all(gateways[at], name));
}

Result<std::unique_ptr<GetStream>> GatewayMesh::open(std::size_t at, const std::string& name) {
  return mesh.run(gateways[at].get(name));
}

Result<WriteReceipt> GatewayMesh::remove(std::size_t at, const std::string& name) {
  return mesh.run(gateways[at].remove(name));
}

Result<NamePage> GatewayMesh::list(std::size_t at, ListQuery query) {
  return mesh.run(gateways[at].list(std::move(query)));
}

Errc GatewayMesh::error_of_get(std::size_t at, const std::string& name) {
  const auto content = get(at, name);
  REQUIRE_FALSE(content.has_value());
  return content.error().code;
}

std::optional<SignedManifest> GatewayMesh::kept(std::size_t node, const std::string& name) {
  auto latest = mesh[node].store.latest(object(name));
  REQUIRE(latest.has_value());
  return *latest;
}

ObjectId GatewayMesh::object(std::string_view name) const {
  return {.owner = keys.id(), .hashed_key = keys.hash_name(name)};
}

std::size_t GatewayMesh::uploads() {
  std::size_t uploads = 0;
  for (std::size_t i = 0; i < mesh.size(); ++i)
    uploads += mesh[i].store.stats().uploads;
  return uploads;
}

std::vector<std::size_t> GatewayMesh::placed(const std::string& name) {
  std::vector<std::size_t> indexes;
  const auto partition = partition_of(object(name).hashed_key);
  for (const auto& id : mesh[0].mesh.placement().nodes_for(partition)) {
    for (std::size_t i = 0; i < mesh.size(); ++i) {
      if (mesh[i].id() == id) indexes.push_back(i);
    }
  }
  return indexes;
}

std::vector<std::size_t> GatewayMesh::not_placed(const std::string& name) {
  const auto there = placed(name);
  std::vector<std::size_t> rest;
  for (std::size_t i = 0; i < mesh.size(); ++i) {
    if (std::ranges::find(there, i) == there.end()) rest.push_back(i);
  }
  return rest;
}

Bytes pattern(std::size_t size, std::uint32_t seed) {
  Bytes bytes(size);
  std::uint32_t state = seed * 2654435761U + 1;
  for (auto& byte : bytes) {
    state = state * 1664525U + 1013904223U;
    byte = static_cast<std::uint8_t>(state >> 24);
  }
  return bytes;
}

}  // namespace zerodb::test
