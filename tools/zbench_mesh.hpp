#pragma once
// A mesh of real daemons for a benchmark: separate processes on loopback, in a folder of their
// own that is removed with the mesh. One thread.

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bus/client.hpp"

namespace zerodb::bench {

/// What a process has used so far.
struct Usage {
  double cpu_s = 0;
  std::uint64_t peak_bytes = 0;  ///< of resident memory, since it started
};

/// Of this process or of a child.
Usage usage_of(pid_t pid);

class BenchMesh {
 public:
  /// Founds, joins and runs `nodes` daemons below `parent` and waits until each takes its part.
  /// All but the first share its owner, so that each is a gateway.
  static Result<std::unique_ptr<BenchMesh>> start(unsigned nodes,
                                                  const std::filesystem::path& parent);
  ~BenchMesh();  ///< stops the daemons and removes their folders
  BenchMesh(const BenchMesh&) = delete;
  BenchMesh& operator=(const BenchMesh&) = delete;

  std::size_t size() const { return daemons_.size(); }
  /// Where sockets may be made; removed with the mesh.
  const std::filesystem::path& folder() const { return root_; }
  Result<BusClient> connect(std::size_t node) const {
    return BusClient::connect(daemons_[node].folder);
  }
  /// Writes are acknowledged before the last replica has them: until it has.
  Status wait_until_all_hold(std::uint64_t objects);
  Usage usage(std::size_t node) const { return usage_of(daemons_[node].pid); }

 private:
  struct Daemon {
    std::filesystem::path folder;
    pid_t pid = -1;
  };

  BenchMesh() = default;
  Status add_node(const std::string& name, const std::string& ticket);
  using Answer = client::Status::Reply;
  Status wait_until_settled();
  /// Until what every node says of itself `holds`. An error that names `what` after two minutes.
  Status wait_until(std::string_view what, const std::function<bool(const Answer&)>& holds);

  std::filesystem::path root_;
  std::vector<Daemon> daemons_;
};

/// From now on SIGINT, SIGTERM and SIGHUP, unless ignored, stop the daemons and remove their folder
/// before they end the program. To be called before other threads are started.
void remove_mesh_on_signals();

}  // namespace zerodb::bench
