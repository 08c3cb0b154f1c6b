#include "tests/sim/faults/quorum_watch.hpp"

namespace zerodb::sim {

QuorumWatch::Number QuorumWatch::begin(Machine& reader, const ObjectId& object) {
  Read read{.reader = reader.id(),
            .object = object,
            .targets = reader.mesh().targets(partition_of(object.hashed_key)),
            .answered = {},
            .failed = {}};
  if (reader.mesh().is_whole()) read.answered.insert(reader.id());
  reads_.emplace(next_, std::move(read));
  return next_++;
}

/// With several placements in force it is not told apart which of them lacks an answer: then all
/// nodes must have answered.
bool QuorumWatch::end(Number number) {
  const auto read = std::move(reads_.extract(number).mapped());
  const auto& placed = read.targets.nodes();
  const auto good = static_cast<std::size_t>(std::ranges::count_if(placed, [&](const NodeId& node) {
    return read.answered.contains(node) && !read.failed.contains(node) && node != liar;
  }));
  if (read.targets.placements() > 1) return good == placed.size();
  const auto replicas = read.targets.replicas();
  const auto write_quorum_needed = replicas / 2 + 1;
  return good >= replicas - write_quorum_needed + 1;
}

void QuorumWatch::on_outcome(const NodeId& asker, const NodeId& asked, const peer::Request& request,
                             const Result<PeerAnswer>& answer) {
  const auto* asks = std::get_if<peer::GetManifest>(&request);
  if (asks == nullptr) return;
  const auto* reply = answer ? std::get_if<peer::GetManifest::Reply>(&answer->message) : nullptr;
  const bool counts = reply != nullptr && reply->whole;
  for (auto& [number, read] : reads_) {
    const bool is_its = read.reader == asker && read.object.hashed_key == asks->hashed_key;
    if (is_its) (counts ? read.answered : read.failed).insert(asked);
  }
}

void QuorumWatch::on_link_down(const NodeId& at, const NodeId& node) {
  for (auto& [number, read] : reads_) {
    if (read.reader == at) read.failed.insert(node);
  }
}

}  // namespace zerodb::sim
