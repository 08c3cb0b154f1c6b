#pragma once
// The link to one other member: a control lane that is always there, and, while the member
// answers, data lanes and a subscription to its broadcasts. One thread: the io_context's.

#include <asio/steady_timer.hpp>
#include <set>

#include "bus/byte_budget.hpp"
#include "bus/lane.hpp"
#include "bus/resolve.hpp"
#include "bus/subscription.hpp"
#include "bus/zmq_links.hpp"

namespace zerodb {

/// What a link tells the node's links. Never called after PeerLink::close().
class LinkEvents {
 public:
  virtual ~LinkEvents() = default;
  virtual peer::Hello make_hello() = 0;
  virtual void on_hello(const NodeId& node, const peer::Hello::Reply& reply) = 0;
  virtual void on_up(const NodeId& node) = 0;
  virtual void on_down(const NodeId& node) = 0;
  virtual bool is_news(const broadcast::Message& message) const = 0;
  virtual void on_broadcast(const NodeId& node, broadcast::Message message) = 0;
  virtual void complain(const NodeId& node, const std::string& kind, const std::string& detail) = 0;
};

/// What all links of a node share. All of it outlives the links but `events` (see above).
struct LinkContext {
  asio::io_context& io;
  BusContext& context;
  std::shared_ptr<const CurvePair> keys;
  ZmqLinksOptions options;
  LinkEvents& events;
};

class PeerLink : public std::enable_shared_from_this<PeerLink> {
 public:
  /// `member` has an address.
  PeerLink(const LinkContext& context, const Member& member);

  const Member& member() const { return member_; }
  bool up() const { return up_; }
  LinkState state() const;

  /// Starts to say hello, and goes on until closed.
  void start();

  /// See Links::call. Fails at once while the member is down.
  static Task<Result<PeerAnswer>> call(std::shared_ptr<PeerLink> self, peer::Request request,
                                       Payload payload, Milliseconds timeout);

  /// Which broadcasts to hear.
  void set_topics(const std::set<std::string>& topics);

  /// The member spoke to us, so it knows us: if it refused us before, it will not now.
  void nudge();

  /// Calls under way get `reason`.
  void close(const Error& reason);

 private:
  using Clock = std::chrono::steady_clock;

  static Task<void> keep_alive(std::shared_ptr<PeerLink> self);
  static Task<void> watch(std::shared_ptr<PeerLink> self);
  static Task<void> notice_restarts(std::shared_ptr<PeerLink> self);
  static Task<void> connect(std::shared_ptr<PeerLink> self);
  static Task<void> dial(std::shared_ptr<PeerLink> self, Milliseconds patience);
  static Task<bool> ping(std::shared_ptr<PeerLink> self, Milliseconds timeout);
  static Task<void> pause(std::shared_ptr<PeerLink> self, Milliseconds duration);
  static Task<void> read(std::shared_ptr<PeerLink> self, std::shared_ptr<Lane> lane);
  static Task<Result<PeerAnswer>> ask(std::shared_ptr<PeerLink> self, std::shared_ptr<Lane> lane,
                                      peer::Request request, Payload payload, Milliseconds timeout);

  Result<std::shared_ptr<Lane>> open_lane(int messages_max, bool watched);
  std::shared_ptr<Lane> lane_for(const peer::Request& request) const;
  bool admit(std::array<Payload, 2>& frames) const;
  void on_reply(const Lane& lane, const Inbound& inbound);
  void hang_up();
  void go_up();
  void open_subscription();
  void go_down();
  void note_refusal();
  Milliseconds since_heard() const;
  bool is_late() const;
  Error down_error() const;

  LinkContext context_;
  Member member_;
  PeerAddress resolved_;      ///< where the member was found when it was dialled last
  std::size_t look_ups_ = 0;  ///< of it
  std::string name_;          ///< for messages
  std::shared_ptr<RequestTable> requests_;
  std::shared_ptr<ByteBudget> unsent_;
  std::shared_ptr<Lane> control_;
  std::vector<std::shared_ptr<Lane>> data_;
  std::shared_ptr<Subscription> subscription_;
  std::set<std::string> topics_;
  Resolver resolver_;
  asio::steady_timer timer_;
  asio::steady_timer restart_timer_;
  LaneNumber last_lane_ = 0;
  Clock::time_point dialled_at_;
  std::optional<Clock::time_point> heard_at_;
  Clock::time_point alive_since_;
  Clock::time_point started_at_ = Clock::now();
  unsigned refusals_ = 0;  ///< in a row
  bool up_ = false;
  bool started_ = false;
  bool nudged_ = false;
  bool closed_ = false;
};

}  // namespace zerodb
