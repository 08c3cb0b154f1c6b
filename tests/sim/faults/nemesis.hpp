#pragma once
// Makes the faults of a run, one after the other, each undone after a while; end() undoes them all.
// Never more disks are lost at once than the mesh promises to survive: that is one machine, of all
// that may be harmed, between two convergences. One thread.

#include "tests/sim/faults/workload.hpp"

namespace zerodb::sim {

class Nemesis {
 public:
  Nemesis(World& world, Cluster& cluster, const Scenario& scenario, Workload& workload,
          Trace& trace);

  /// Faults from now on.
  void begin();
  /// No faults any more: all that members can be and do they are and can do again.
  void end();
  /// One running member is off until it is started again; nothing if none runs.
  Machine* send_away();

  // What the network tells.
  void on_arrival(const NodeId& to, std::string_view name);
  void on_answer(const NodeId& replier, const peer::Request& request, Result<PeerAnswer>& answer);

 private:
  using Fault = void (Nemesis::*)();

  void tick();
  Machine* pick_running();
  /// The machine that may be harmed until the mesh has converged; none if none may.
  Machine* victim();
  /// Whether the liar would be the only one on which objects are placed, without `machine`.
  bool only_the_liar_stays(const Machine* without = nullptr);
  void later(Milliseconds low, Milliseconds high, std::function<void()> action);
  void restart_later(Machine& machine, Milliseconds high);

  void crash();
  void crash_at_next_commit();
  void cut_one();
  void cut_one_way();
  void split();
  void change_weather();
  void fail_disk();
  void fill_disk();
  void flip_bit();
  void lose_disk();
  void set_clock();
  void join();
  void drain();
  void undrain();
  void remove_drained();
  void remove_for_good();
  void change_member();

  std::int64_t draw_skew(std::uint64_t most_ms);
  std::optional<Bytes> forge(ByteView wire);

  World& world_;
  Cluster& cluster_;
  const Scenario& scenario_;
  Workload& workload_;
  Trace& trace_;
  std::vector<Fault> faults_;  ///< of this run; the more frequent ones several times
  std::optional<NodeId> victim_;
  std::optional<NodeId> liar_;
  std::optional<NodeId> ambushed_;  ///< crashes when the next commit gets there
  std::set<NodeId> wrong_clocks_;
  OwnerKeys forger_ = OwnerKeys::generate();
  std::uint64_t round_ = 0;  ///< grows with begin() and end(), so that what is late lapses
  bool active_ = false;
};

}  // namespace zerodb::sim
