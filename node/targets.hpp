#pragma once
// To whom a request about one partition goes, and when enough of them have done their part. While
// a roster change settles, several placements are in force at once (see mesh.hpp): a write then
// needs its quorum in each of them, and so does a read. Values; thread-safe.

#include <algorithm>
#include <span>
#include <vector>

#include "node/placement.hpp"

namespace zerodb {

class Targets {
 public:
  Targets() = default;
  /// The latest placement: its R nodes, best first.
  explicit Targets(std::vector<NodeId> latest)
      : nodes_(std::move(latest)),
        latest_(nodes_.size()),
        replicas_(static_cast<std::uint32_t>(nodes_.size())) {}

  /// Another placement in force, of `replicas` nodes, of which `nodes` are still members. Left out
  /// if it has the nodes of one that is known. The first one, if there is none yet.
  void add(std::vector<NodeId> nodes, std::uint32_t replicas);

  /// Of all placements in force, each node once; those of the latest placement come first.
  const std::vector<NodeId>& nodes() const& { return nodes_; }
  void nodes() const&& = delete;  // a loop over it would outlive them
  /// R in the latest placement.
  std::uint32_t replicas() const { return replicas_; }
  /// Nodes of the latest placement that are no members any more.
  std::size_t gone() const { return replicas_ - latest_; }
  std::size_t placements() const { return 1 + older_.size(); }
  /// In the latest placement.
  bool is_placed(const NodeId& node) const {
    return std::ranges::find(latest(), node) != latest().end();
  }

  /// How many nodes of one placement are as they should be, and how many must be.
  struct Count {
    std::size_t good = 0;
    std::size_t of = 0;
    std::size_t needed = 0;
    bool is_enough() const { return good >= needed; }
  };

  /// The first placement in which fewer than W nodes are `good`; if there is none, the
  /// latest. Of an older one no more are needed than are left; of the latest W, who left or not,
  /// as so many copies are promised.
  template <class Good>
  Count count_for_write(Good good) const {
    auto here = count_in(latest(), write_quorum(replicas_), good);
    here.needed = write_quorum(replicas_);
    return here.is_enough() ? count(write_quorum, good) : here;
  }
  /// The same with the read quorum.
  template <class Good>
  Count count_for_read(Good good) const {
    return count(read_quorum, good);
  }

 private:
  struct Older {
    std::vector<NodeId> nodes;
    std::uint32_t replicas = 0;
  };
  using Quorum = std::uint32_t (*)(std::uint32_t replicas);

  std::span<const NodeId> latest() const { return std::span(nodes_).first(latest_); }

  /// No more than are left are needed: who left can neither take a write nor tell of one.
  template <class Good>
  static Count count_in(std::span<const NodeId> nodes, std::uint32_t needed, Good good) {
    return {.good = static_cast<std::size_t>(std::ranges::count_if(nodes, good)),
            .of = nodes.size(),
            .needed = std::min<std::size_t>(needed, nodes.size())};
  }

  template <class Good>
  Count count(Quorum quorum, Good good) const {
    const auto here = count_in(latest(), quorum(replicas_), good);
    if (!here.is_enough()) return here;
    for (const auto& placement : older_) {
      const auto there = count_in(placement.nodes, quorum(placement.replicas), good);
      if (!there.is_enough()) return there;
    }
    return here;
  }

  std::vector<NodeId> nodes_;
  std::size_t latest_ = 0;  ///< how many of nodes_
  std::uint32_t replicas_ = 0;
  std::vector<Older> older_;
};

}  // namespace zerodb
