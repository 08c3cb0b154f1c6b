#pragma once
// The names of an owner's objects, in byte order, as one of its gateways knows them. A listing
// first asks enough nodes for what changed (partition digests, then entries of those that differ),
// so that every acknowledged object is in it, whichever gateway stored it. Kept in memory.
// One thread: the node's executor.

#include <memory>

#include "node/node_context.hpp"

namespace zerodb {

struct ListQuery {
  std::string prefix;
  std::string after;  ///< strictly after this name, in byte order
  std::size_t limit = 1000;
};

struct ListEntry {
  std::string name;
  std::uint64_t size = 0;
  Version version;
  std::optional<std::int64_t> mtime_ms;
};

struct ListPage {
  std::vector<ListEntry> entries;
  bool more = false;
};

class Catalogue {
 public:
  Catalogue(NodeContext context, std::shared_ptr<const OwnerKeys> keys);
  ~Catalogue();

  /// A version just written here, whose name and time are known.
  void learn(const SignedManifest& manifest, const std::string& name,
             std::optional<std::int64_t> mtime_ms);

  /// A broadcast manifest, not yet verified: kept until the next refresh looks at it.
  void on_news(ByteView manifest);

  /// Catches up with the mesh. `no_quorum` when too few nodes answer to see every acknowledged
  /// write.
  Task<Status> refresh();

  ListPage page(const ListQuery& query) const;

 private:
  class Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace zerodb
