#pragma once
// The clients of a run: at any gateway that runs they put, overwrite, delete, read and list a few
// keys, several at once, and hold what comes back against the ledger. A gateway that crashes takes
// the operations that it had begun along. One thread.

#include "tests/sim/faults/findings.hpp"
#include "tests/sim/faults/quorum_watch.hpp"

namespace zerodb::sim {

struct WorkloadCounts {
  std::uint64_t writes = 0;  ///< acknowledged
  std::uint64_t reads = 0;   ///< answered
  std::uint64_t fresh = 0;   ///< of those, held to see all that was acknowledged
  std::uint64_t lists = 0;
  std::uint64_t failed = 0;
};

class Workload {
 public:
  Workload(World& world, Cluster& cluster, const Scenario& scenario, Ledger& ledger, Trace& trace,
           Findings& findings);

  void start();
  void stop() { running_ = false; }
  std::size_t under_way() const { return under_way_; }
  const WorkloadCounts& counts() const { return counts_; }
  QuorumWatch& watch() { return watch_; }
  const std::vector<std::string>& keys() const { return keys_; }

  /// Reads every key at every gateway and lists them there. All is well with the mesh, so that
  /// nothing of it may fail.
  void read_everything();
  void set_strict(bool strict) { strict_ = strict; }
  /// Whose content a get last showed of a key since everything was to be read; 0: no get did.
  WriteNumber last_read(const std::string& key) const {
    const auto found = last_read_.find(key);
    return found == last_read_.end() ? 0 : found->second;
  }

 private:
  class Attempt;

  void tick();
  void begin_one(Machine& machine);
  std::size_t draw_size();
  PutSpec draw_put(const std::string& key);

  // Each runs in its machine's life, and refers to nothing of it but the gateway.
  static Task<void> put(Workload& work, Machine& at, PutSpec spec, std::size_t size);
  static Task<void> remove(Workload& work, Machine& at, std::string key);
  static Task<void> read(Workload& work, Machine& at, std::string key);
  static Task<void> list(Workload& work, Machine& at);
  static Task<Result<WriteReceipt>> put_bytes(Gateway& gateway, PutSpec spec, Bytes content);
  static Task<Result<Bytes>> read_bytes(GetStream& stream);

  void note_failure(const std::string& what, const Error& error);
  void judge_write(WriteNumber number, const Machine& at, const Result<WriteReceipt>& receipt);
  void judge_list(const Machine& at, const std::map<std::string, Floor>& floors,
                  const std::map<std::string, Version>& names);

  World& world_;
  Cluster& cluster_;
  const Scenario& scenario_;
  Ledger& ledger_;
  Trace& trace_;
  Findings& findings_;
  QuorumWatch watch_;
  std::vector<std::string> keys_;
  std::map<std::string, Version> seen_;  ///< what clients last saw of a key, for conditions
  WorkloadCounts counts_;
  std::map<std::string, WriteNumber> last_read_;
  std::size_t under_way_ = 0;
  bool strict_ = false;
  bool running_ = false;
};

}  // namespace zerodb::sim
