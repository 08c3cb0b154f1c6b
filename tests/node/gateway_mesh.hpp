#pragma once
// A simulated mesh in which every node is a gateway of one owner. One thread.

#include <deque>

#include "node/gateway.hpp"
#include "tests/sim/sim_mesh.hpp"

namespace zerodb::test {

/// A node's links, with calls to chosen nodes held back.
class SlowLinks : public Links {
 public:
  explicit SlowLinks(sim::SimNode& node) : links_(node.links), runtime_(node.runtime) {}

  Task<Result<PeerAnswer>> call(NodeId to, peer::Request request, Payload payload,
                                Milliseconds timeout) override;
  void publish(const ObjectId& about, broadcast::Message message) override;
  void subscribe(std::set<Partition> partitions, std::set<OwnerId> owners) override;
  LinkState state(const NodeId& node) const override { return links_.state(node); }

  std::map<NodeId, Milliseconds> delays;  ///< before each chunk and commit to a node
  /// Before each request of a name to a node.
  std::map<std::pair<std::string_view, NodeId>, Milliseconds> delays_of;
  bool publishes = true;

 private:
  Links& links_;
  Runtime& runtime_;
};

struct GatewayMeshOptions {
  GatewayOptions gateway;
  sim::SimMeshOptions mesh;
};

class GatewayMesh {
 public:
  explicit GatewayMesh(std::size_t nodes, GatewayMeshOptions options = {});
  ~GatewayMesh();

  /// Of a node, with its slow links.
  NodeContext context(std::size_t index);
  /// Messages take the same time everywhere: whom a list hears of does not depend on luck.
  void let_nobody_be_late();

  Result<WriteReceipt> put(std::size_t from, const std::string& name, ByteView content);
  /// Chunk by chunk, as much at once as `finish` allows.
  Result<WriteReceipt> put_stream(std::size_t from, const std::string& name, ByteView content);
  /// The same, to be run by the caller; `content` outlives it.
  Task<Result<WriteReceipt>> putting(std::size_t from, std::string name, ByteView content);
  Result<Bytes> get(std::size_t at, const std::string& name);
  Result<std::unique_ptr<GetStream>> open(std::size_t at, const std::string& name);
  Result<WriteReceipt> remove(std::size_t at, const std::string& name);
  Result<NamePage> list(std::size_t at, ListQuery query = {});
  Errc error_of_get(std::size_t at, const std::string& name);

  /// What a node's store says of the object.
  std::optional<SignedManifest> kept(std::size_t node, const std::string& name);
  ObjectId object(std::string_view name) const;
  std::size_t uploads();
  std::uint64_t now_ms() { return mesh.world().now_ms(); }
  /// Nodes of the mesh, by how they are placed for `name`: the first is the best.
  std::vector<std::size_t> placed(const std::string& name);
  std::vector<std::size_t> not_placed(const std::string& name);

  sim::SimMesh mesh;
  OwnerKeys keys;
  std::deque<SlowLinks> links;
  std::deque<Gateway> gateways;
};

/// Content that differs from place to place, and by `seed`.
Bytes pattern(std::size_t size, std::uint32_t seed = 1);

}  // namespace zerodb::test
