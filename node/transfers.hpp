#pragma once
// The blobs on their way into a replica: who sends what, how many bytes of it are not yet on disk,
// and when it was last heard of. One thread: the node's executor.

#include <map>
#include <memory>
#include <vector>

#include "node/replica.hpp"

namespace zerodb {

struct Transfer {
  NodeId sender;
  UploadSpec spec;
  std::shared_ptr<Upload> upload;  ///< none while it is being opened; shared with writes under way
  std::uint64_t in_flight_bytes = 0;  ///< taken in, not yet written
  bool committing = false;
  std::uint64_t heard_ms = 0;  ///< steady

  bool is_busy() const { return !upload || in_flight_bytes > 0 || committing; }
};

class Transfers {
 public:
  explicit Transfers(const ReplicaOptions& options) : options_(options) {}

  /// The transfer of that id, if `sender` opened it. `not_found` or `denied`.
  Result<std::shared_ptr<Transfer>> find(const TransferId& id, const NodeId& sender) const;

  /// `busy` when there are too many already.
  Result<std::shared_ptr<Transfer>> add(const TransferId& id, const NodeId& sender,
                                        const UploadSpec& spec, std::uint64_t now_ms);

  /// Forgets `transfer`, unless another one has its id by now.
  void remove(const TransferId& id, const std::shared_ptr<Transfer>& transfer);
  /// Forgets and answers those that went silent.
  std::vector<std::shared_ptr<Transfer>> take_idle(std::uint64_t now_ms);

  /// What each sender may have in flight: less when many share this node's memory, but a chunk.
  std::uint64_t credit_bytes() const;

 private:
  ReplicaOptions options_;
  std::map<TransferId, std::shared_ptr<Transfer>> transfers_;
};

}  // namespace zerodb
