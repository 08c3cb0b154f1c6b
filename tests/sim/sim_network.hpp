#pragma once
// The bus without sockets: every message goes through the real codec, takes a seeded delay, and
// arrives once, unless the network is told to lose, double or delay some. One thread.

#include <map>
#include <set>
#include <string>

#include "bus/codec.hpp"
#include "tests/sim/sim_world.hpp"

namespace zerodb::sim {

class SimLinks;

struct NetworkOptions {
  std::uint64_t delay_min_us = 50;
  std::uint64_t delay_max_us = 2'000;
  std::uint64_t us_per_mib = 5'000;  ///< on top, by size
  unsigned drop_per_mille = 0;       ///< of requests and of replies
  unsigned broadcast_drop_per_mille = 0;
  unsigned double_per_mille = 0;  ///< of requests: they arrive twice
  unsigned late_per_mille = 0;    ///< of all messages: they take up to late_max_us more
  std::uint64_t late_max_us = 0;
  Milliseconds ping_interval{1'000};  ///< a link comes up within this time
  Milliseconds down_after{4'000};     ///< a link counts as down this long after the last answer
};

class SimNetwork {
 public:
  explicit SimNetwork(World& world, NetworkOptions options = {})
      : world_(world), options_(options) {}

  NetworkOptions& options() { return options_; }
  World& world() { return world_; }

  /// Nothing passes between the two any more; their links notice after a while.
  void cut(const NodeId& a, const NodeId& b);
  void cut_one_way(const NodeId& from, const NodeId& to);
  void heal(const NodeId& a, const NodeId& b);
  void heal_all();
  /// Nothing passes to or from the node.
  void down(const NodeId& node);
  void up(const NodeId& node);
  bool is_down(const NodeId& node) const { return down_.contains(node); }

  /// How many requests and broadcasts of this name were sent so far, e.g. "get_entries".
  std::size_t sent(std::string_view name) const;

  /// Bytes of requests and replies so far: of this name, or of all.
  std::uint64_t bytes(std::string_view name) const;
  std::uint64_t bytes() const;

  /// Sees every answer before it goes back and may change it: how a test makes a node lie.
  std::function<void(const NodeId& replier, const peer::Request&, Result<PeerAnswer>&)> on_answer;
  /// Sees how every call ended for its caller: with the answer, or an error.
  std::function<void(const NodeId& asker, const NodeId& asked, const peer::Request&,
                     const Result<PeerAnswer>&)>
      on_outcome;
  /// Sees a link go down, at the node that notices.
  std::function<void(const NodeId& at, const NodeId& node)> on_link_down;
  /// Sees every message as it arrives, by the name of its request or broadcast.
  std::function<void(const NodeId& from, const NodeId& to, std::string_view name,
                     std::size_t bytes)>
      on_arrival;

  /// Whether a message that takes longer than others may still be on its way.
  bool is_one_late() const { return world_.now_us() < late_until_us_; }

  /// The most calls that any one node ever had under way to any other.
  std::size_t calls_peak() const { return calls_peak_; }

  /// Never answers requests but greetings, though its links are up.
  std::optional<NodeId> silent;

 private:
  friend class SimLinks;

  void attach(SimLinks& links);
  void detach(SimLinks& links);
  SimLinks* find(const NodeId& node) const;
  bool passes(const NodeId& from, const NodeId& to) const;
  std::uint64_t delay_us(std::size_t bytes);
  void send_request(const NodeId& from, const NodeId& to, std::string_view name,
                    const std::shared_ptr<const Bytes>& header, const Payload& payload);
  void arrived(const NodeId& from, const NodeId& to, std::string_view name,
               std::size_t bytes) const {
    if (on_arrival) on_arrival(from, to, name, bytes);
  }
  void count(std::string_view name) { ++sent_[std::string(name)]; }
  void count_bytes(std::string_view name, std::size_t bytes) { bytes_[std::string(name)] += bytes; }
  /// Lets every pair of links notice what changed.
  void review_links();

  World& world_;
  NetworkOptions options_;
  std::map<NodeId, SimLinks*> nodes_;
  std::set<std::pair<NodeId, NodeId>> cuts_;  ///< from, to
  std::set<NodeId> down_;
  std::map<std::string, std::size_t, std::less<>> sent_;
  std::map<std::string, std::uint64_t, std::less<>> bytes_;
  std::uint64_t next_call_ = 1;
  std::size_t calls_peak_ = 0;
  std::uint64_t late_until_us_ = 0;  ///< then all that were late so far have arrived
};

class SimLinks : public Links {
 public:
  /// `handler` outlives the links. What they do runs in `life`.
  SimLinks(SimNetwork& network, const NodeId& self, LinkHandler& handler, Life& life);
  SimLinks(SimNetwork& network, const NodeId& self, LinkHandler& handler)
      : SimLinks(network, self, handler, network.world().outside()) {}
  ~SimLinks() override;
  SimLinks(const SimLinks&) = delete;
  SimLinks& operator=(const SimLinks&) = delete;

  void set_members(std::set<NodeId> members);

  Task<Result<PeerAnswer>> call(NodeId to, peer::Request request, Payload payload,
                                Milliseconds timeout) override;
  void publish(const ObjectId& about, broadcast::Message message) override;
  void subscribe(std::set<Partition> partitions, std::set<OwnerId> owners) override;
  LinkState state(const NodeId& node) const override;

 private:
  friend class SimNetwork;
  /// A call under way. Whichever of answer and timeout is first resumes the caller.
  struct Pending {
    NodeId to;
    peer::Request request;
    std::function<void(Result<PeerAnswer>)> resume;
  };
  struct Link {
    bool up = false;
    bool noticing = false;  ///< a change was seen and is about to be told
    std::optional<std::uint64_t> heard_ms;
    std::uint64_t changed_ms = 0;  ///< when it went up, or was cut off
  };

  std::uint64_t begin_call(const NodeId& to, const peer::Request& request,
                           std::function<void(Result<PeerAnswer>)> resume);
  void end_call(std::uint64_t id, Result<PeerAnswer> answer);
  void tell_outcome(const NodeId& to, const peer::Request& request,
                    const Result<PeerAnswer>& answer) const {
    if (network_.on_outcome) network_.on_outcome(self_, to, request, answer);
  }
  Task<void> serve(NodeId from, std::shared_ptr<const Bytes> header, Payload payload);
  void reply(const NodeId& to, const codec::Decoded<peer::Request>& request,
             Result<PeerAnswer> answer);
  void deliver(const NodeId& from, const Bytes& header, const Payload& payload);
  bool wants(const ObjectId& about, const broadcast::Message& message) const;
  bool can_reach(const NodeId& node) const;
  void review(const NodeId& node);
  void notice(const NodeId& node);

  SimNetwork& network_;
  NodeId self_;
  LinkHandler& handler_;
  Life& life_;
  std::set<NodeId> members_;
  std::set<Partition> partitions_;
  std::set<OwnerId> owners_;
  std::map<NodeId, Link> links_;
  std::map<std::uint64_t, Pending> calls_;
  std::uint64_t next_broadcast_ = 1;
};

}  // namespace zerodb::sim
