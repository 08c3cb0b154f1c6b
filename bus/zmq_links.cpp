#include "bus/zmq_links.hpp"

#include <asio/post.hpp>
#include <map>

#include "bus/complaints.hpp"
#include "bus/connection_watch.hpp"
#include "bus/curve_server.hpp"
#include "bus/peer_link.hpp"
#include "bus/responder.hpp"

namespace zerodb {
namespace {

constexpr int router_messages_max = 256;
constexpr int publisher_messages_max = 1000;

/// A publisher is sent nothing but subscriptions, which libzmq keeps at some thirty times their
/// length; and handshakes, which are longer.
constexpr std::int64_t subscription_frame_bytes_max = topic_bytes_max + 1024;

std::uint64_t since_1970(auto unit) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::duration_cast<decltype(unit)>(now).count());
}

bool same_link(const Member& a, const Member& b) {
  return a.sign_key == b.sign_key && a.address->endpoint == b.address->endpoint &&
         a.address->broadcast_endpoint == b.address->broadcast_endpoint;
}

SocketLimits limits_of(int count) {
  return {.send_messages_max = count, .receive_messages_max = count};
}

class Implementation final : public ZmqLinks, public LinkEvents {
 public:
  Implementation(asio::io_context& io, BusContext& context, const NodeKeys& keys,
                 const ZmqLinksOptions& options, LinkHandler& handler)
      : io_(io),
        handler_(handler),
        options_(options),
        keys_(std::make_shared<CurvePair>(keys.curve.public_key, keys.curve.secret.clone())),
        sealer_(keys_->public_key, keys.sign, since_1970(std::chrono::microseconds())),
        link_context_{io, context, keys_, options, *this} {}

  ~Implementation() override { stop(); }

  Status open(BusContext& context);

  // Links
  Task<Result<PeerAnswer>> call(NodeId to, peer::Request request, Payload payload,
                                Milliseconds timeout) override;
  void publish(const ObjectId& about, broadcast::Message message) override;
  void subscribe(std::set<Partition> partitions, std::set<OwnerId> owners) override;
  LinkState state(const NodeId& node) const override;

  // ZmqLinks
  std::string endpoint() const override { return endpoint_; }
  std::string broadcast_endpoint() const override { return broadcast_endpoint_; }
  void set_members(std::vector<Member> members) override;
  void set_invites(std::set<NodeId> invites) override { invites_ = std::move(invites); }
  void set_hello(std::function<peer::Hello()> make,
                 std::function<void(NodeId, const peer::Hello::Reply&)> answered) override;
  ZapHandler& zap() override { return *zap_; }
  void set_clients(std::function<bool(const NodeId&)> admits) override {
    admits_client_ = std::move(admits);
  }
  void stop() override;

 private:
  // LinkEvents
  peer::Hello make_hello() override { return make_hello_(); }
  void on_hello(const NodeId& node, const peer::Hello::Reply& reply) override {
    if (hello_answered_) hello_answered_(node, reply);
  }
  void on_up(const NodeId& node) override { handler_.on_link_up(node); }
  void on_down(const NodeId& node) override { handler_.on_link_down(node); }
  bool is_news(const broadcast::Message& message) const override {
    return handler_.is_news(message);
  }
  void on_broadcast(const NodeId& node, broadcast::Message message) override {
    handler_.on_broadcast(node, std::move(message));
  }
  void complain(const NodeId& node, const std::string& kind, const std::string& detail) override {
    complaints_.about(node, kind, detail);
  }

  Status open_servers(BusContext& context);
  Status bind_servers();
  Verdict judge(std::string_view domain, const NodeId& key) const;
  std::optional<Caller> who_is(const NodeId& key) const;
  void on_heard(const Caller& caller);
  void close_links_not_in(const std::map<NodeId, Member>& wanted);
  void open_link(const Member& member);

  asio::io_context& io_;
  LinkHandler& handler_;
  ZmqLinksOptions options_;
  std::shared_ptr<const CurvePair> keys_;
  BroadcastSealer sealer_;
  LinkContext link_context_;
  std::shared_ptr<ZapHandler> zap_;
  std::shared_ptr<Socket> router_;
  std::shared_ptr<ConnectionWatch> callers_;  ///< connections to the router
  std::shared_ptr<Responder> responder_;
  std::shared_ptr<Socket> publisher_;
  std::shared_ptr<ConnectionWatch> listeners_;  ///< connections to the publisher
  std::string endpoint_;
  std::string broadcast_endpoint_;
  bool members_known_ = false;  ///< until then nobody is turned away for good
  std::set<NodeId> members_;
  std::set<NodeId> former_members_;  ///< since the start
  std::set<NodeId> invites_;
  std::function<bool(const NodeId&)> admits_client_;
  std::map<NodeId, std::shared_ptr<PeerLink>> links_;
  std::set<std::string> topics_{get_topic()};
  std::function<peer::Hello()> make_hello_;
  std::function<void(NodeId, const peer::Hello::Reply&)> hello_answered_;
  Complaints complaints_;
  std::shared_ptr<bool> running_ = std::make_shared<bool>(true);
};

// ----------------------------------------------------------------------------- start and stop

Status Implementation::open(BusContext& context) {
  auto zap = ZapHandler::start(io_, context, [this](std::string_view domain, const NodeId& key) {
    return judge(domain, key);
  });
  if (!zap) return fail(std::move(zap.error()));
  zap_ = std::move(*zap);
  auto opened = open_servers(context);
  if (!opened) return opened;
  auto bound = bind_servers();
  if (!bound) return bound;
  zap_->run(io_);
  responder_ = std::make_shared<Responder>(
      io_, router_, callers_,
      ResponderOptions{.peer_bytes_max = options_.peer_bytes_max,
                       .requests_per_peer_max = options_.requests_per_peer_max,
                       .ban = options_.ban},
      handler_);
  responder_->run([this](const NodeId& key) { return who_is(key); },
                  [this](const Caller& caller) { on_heard(caller); });
  return {};
}

Status Implementation::open_servers(BusContext& context) {
  members_known_ = true;  // nobody is a member, as long as the self-tests last
  auto router = open_curve_server(io_, context, *zap_, *keys_,
                                  {.type = zmq::socket_type::router,
                                   .domain = peer_domain,
                                   .limits = limits_of(router_messages_max)});
  if (!router) return fail(std::move(router.error()));
  router_ = std::move(*router);
  auto callers = ConnectionWatch::start(io_, context, router_);
  if (!callers) return fail(std::move(callers.error()));
  callers_ = std::move(*callers);
  callers_->run(io_, {});
  auto publisher_limits = limits_of(publisher_messages_max);
  publisher_limits.frame_bytes_max = subscription_frame_bytes_max;
  auto publisher = open_curve_server(
      io_, context, *zap_, *keys_,
      {.type = zmq::socket_type::pub, .domain = broadcast_domain, .limits = publisher_limits});
  if (!publisher) return fail(std::move(publisher.error()));
  publisher_ = std::move(*publisher);
  auto listeners = ConnectionWatch::start(io_, context, publisher_);
  if (!listeners) return fail(std::move(listeners.error()));
  listeners_ = std::move(*listeners);
  listeners_->run(io_, {});
  members_known_ = false;
  return {};
}

Status Implementation::bind_servers() {
  const int mandatory = 1;  // or replies to the slow and the gone would vanish unseen
  if (zmq_setsockopt(router_->zmq().handle(), ZMQ_ROUTER_MANDATORY, &mandatory, sizeof mandatory) !=
      0) {
    return fail(Errc::io, std::string("cannot set up the router: ") + zmq_strerror(zmq_errno()));
  }
  auto endpoint = listen_on(router_->zmq(), options_.listen);
  if (!endpoint) return fail(std::move(endpoint.error()));
  endpoint_ = std::move(*endpoint);
  endpoint = listen_on(publisher_->zmq(), options_.broadcast_listen);
  if (!endpoint) return fail(std::move(endpoint.error()));
  broadcast_endpoint_ = std::move(*endpoint);
  return {};
}

void Implementation::stop() {
  if (!std::exchange(*running_, false)) return;
  const Error reason{Errc::io, "the node is stopping"};
  for (const auto& [node, link] : links_)
    link->close(reason);
  links_.clear();
  if (callers_) callers_->close();
  if (listeners_) listeners_->close();
  if (responder_) responder_->close();
  if (router_) router_->close();
  if (publisher_) publisher_->close();
  if (zap_) zap_->close();
}

// ------------------------------------------------------------------------------------ members

Verdict Implementation::judge(std::string_view domain, const NodeId& key) const {
  if (domain == client_domain) {
    return admits_client_ && admits_client_(key) ? Verdict::allow : Verdict::refuse;
  }
  if (domain == peer_domain && who_is(key)) {
    return responder_ && responder_->has_banned(key) ? Verdict::later : Verdict::allow;
  }
  if (members_.contains(key)) return Verdict::allow;
  // It may be back in a moment, and nobody knocks again by itself where it was refused.
  if (domain == broadcast_domain && former_members_.contains(key)) return Verdict::later;
  return members_known_ ? Verdict::refuse : Verdict::later;
}

std::optional<Caller> Implementation::who_is(const NodeId& key) const {
  if (members_.contains(key)) return Caller{.key = key, .role = Caller::Role::member};
  if (invites_.contains(key)) return Caller{.key = key, .role = Caller::Role::invite};
  return {};
}

void Implementation::on_heard(const Caller& caller) {
  const auto link = links_.find(caller.key);
  if (link != links_.end()) link->second->nudge();
}

void Implementation::set_members(std::vector<Member> members) {
  if (!*running_) return;
  members_known_ = true;
  const auto before = std::exchange(members_, {});
  std::map<NodeId, Member> wanted;
  for (auto& member : members) {
    members_.insert(member.node);
    if (!before.contains(member.node) && responder_) responder_->forgive(member.node);
    if (member.address && member.node != keys_->public_key) {
      wanted.emplace(member.node, std::move(member));
    }
  }
  // Requests are looked at one by one; who listens was let in once.
  if (!std::ranges::includes(members_, before)) listeners_->hang_up_all();
  former_members_.insert(before.begin(), before.end());
  close_links_not_in(wanted);
  for (const auto& [node, member] : wanted) {
    if (!links_.contains(node)) open_link(member);
  }
}

void Implementation::close_links_not_in(const std::map<NodeId, Member>& wanted) {
  std::erase_if(links_, [&](const auto& entry) {
    const auto& [node, link] = entry;
    const auto found = wanted.find(node);
    if (found != wanted.end() && same_link(found->second, link->member())) return false;
    const bool was_up = link->up();
    link->close({Errc::timeout, "node " + node.short_hex() + " left or moved"});
    if (!was_up) return true;
    // Not now: the handler is in the middle of telling us who the members are.
    asio::post(io_, [running = running_, handler = &handler_, node = node] {
      if (*running) handler->on_link_down(node);
    });
    return true;
  });
}

void Implementation::open_link(const Member& member) {
  auto link = std::make_shared<PeerLink>(link_context_, member);
  link->set_topics(topics_);
  if (make_hello_) link->start();
  links_.emplace(member.node, std::move(link));
}

void Implementation::set_hello(std::function<peer::Hello()> make,
                               std::function<void(NodeId, const peer::Hello::Reply&)> answered) {
  make_hello_ = std::move(make);
  hello_answered_ = std::move(answered);
  for (const auto& [node, link] : links_)
    link->start();
}

// ------------------------------------------------------------------------------------- speech

Task<Result<PeerAnswer>> Implementation::call(NodeId to, peer::Request request, Payload payload,
                                              Milliseconds timeout) {
  const auto found = links_.find(to);
  if (found == links_.end()) {
    co_return fail(Errc::not_found,
                   "node " + to.short_hex() + " is no member, or its address is not known yet");
  }
  auto link = found->second;
  co_return co_await PeerLink::call(std::move(link), std::move(request), std::move(payload),
                                    timeout);
}

void Implementation::publish(const ObjectId& about, broadcast::Message message) {
  if (!*running_) return;
  for (const auto& frames : sealer_.seal(about, message, since_1970(Milliseconds()))) {
    publisher_->send(frames);  // whoever is too slow misses it
  }
}

void Implementation::subscribe(std::set<Partition> partitions, std::set<OwnerId> owners) {
  topics_ = topics_of(partitions, owners);
  for (const auto& [node, link] : links_)
    link->set_topics(topics_);
}

LinkState Implementation::state(const NodeId& node) const {
  const auto found = links_.find(node);
  return found == links_.end() ? LinkState() : found->second->state();
}

}  // namespace

Result<std::unique_ptr<ZmqLinks>> ZmqLinks::start(asio::io_context& io, BusContext& context,
                                                  const NodeKeys& keys,
                                                  const ZmqLinksOptions& options,
                                                  LinkHandler& handler) {
  auto links = std::make_unique<Implementation>(io, context, keys, options, handler);
  auto opened = links->open(context);
  if (!opened) return fail(std::move(opened.error()));
  return links;
}

}  // namespace zerodb
