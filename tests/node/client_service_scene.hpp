#pragma once
// Clients of a node, without sockets: requests to its service and what it answers.

#include "node/client_service.hpp"

#include <catch2/catch.hpp>

#include "tests/node/gateway_mesh.hpp"
#include "tests/support/sizes.hpp"

namespace zerodb::test {

inline constexpr ClientId alice = 1;
inline constexpr ClientId bob = 2;

/// A mesh whose first node answers clients.
struct Served {
  explicit Served(std::size_t nodes = 3, ClientServiceOptions options = {})
      : mesh(nodes), service(mesh.mesh[0].context(), std::bind(&Served::gateway, this), options) {}

  std::shared_ptr<Gateway> gateway() {
    if (blind) return nullptr;
    return {std::shared_ptr<void>(), &mesh.gateways[0]};  // the mesh owns it
  }

  Result<ClientAnswer> ask(ClientId client, client::Request request, ByteView payload = {}) {
    ClientIdentity identity;
    if (const auto remote = credentials.find(client); remote != credentials.end()) {
      identity.credential = remote->second;
    }
    return mesh.mesh.run(
        service.handle(client, identity, std::move(request), Payload::copy_of(payload)));
  }
  template <class Reply>
  Reply expect(ClientId client, client::Request request, ByteView payload = {}) {
    auto answer = ask(client, std::move(request), payload);
    if (!answer) FAIL(answer.error().what);
    return std::get<Reply>(answer->message);
  }
  Errc error(ClientId client, client::Request request, ByteView payload = {}) {
    auto answer = ask(client, std::move(request), payload);
    REQUIRE_FALSE(answer.has_value());
    return answer.error().code;
  }
  client::Upload begin(const std::string& key, ClientId client = alice) {
    return expect<client::Upload>(client, client::Put{.key = key});
  }
  /// Sends all of `content` to an upload, chunk by chunk.
  void send(std::uint64_t upload, ByteView content, ClientId client = alice) {
    for (std::size_t at = 0; at < content.size(); at += chunk_bytes_max) {
      const auto chunk =
          content.subspan(at, std::min<std::size_t>(chunk_bytes_max, content.size() - at));
      expect<client::Upload>(client, client::PutData{.upload = upload, .offset = at}, chunk);
    }
  }
  void store(const std::string& key, const Bytes& content) {
    const auto upload = begin(key);
    send(upload.upload, content);
    expect<client::Stored>(alice, client::PutEnd{.upload = upload.upload, .size = content.size()});
  }

  std::map<ClientId, NodeId> credentials;  ///< of the clients that are remote
  bool blind = false;
  GatewayMesh mesh;
  ClientService service;
};

}  // namespace zerodb::test
