#include "node/daemon.hpp"

#include <asio/io_context.hpp>
#include <asio/post.hpp>

#include <spdlog/spdlog.h>

#include "bus/context.hpp"
#include "node/host_port.hpp"
#include "node/real_runtime.hpp"

namespace zerodb {

namespace {

constexpr std::chrono::seconds drain_max{10};
constexpr std::chrono::seconds last_drain_max{1};

/// Links must exist before the node that they serve, so they are given this in its place.
class HandlerRelay final : public LinkHandler {
 public:
  void set_target(LinkHandler* target) { target_ = target; }

  Task<Result<PeerAnswer>> on_request(Caller caller, peer::Request request,
                                      Payload payload) override {
    if (target_ == nullptr) co_return fail(Errc::busy, "this node is starting or stopping");
    co_return co_await target_->on_request(caller, std::move(request), std::move(payload));
  }
  bool is_news(const broadcast::Message& message) const override {
    return target_ != nullptr && target_->is_news(message);
  }
  void on_broadcast(NodeId from, broadcast::Message message) override {
    if (target_ != nullptr) target_->on_broadcast(from, std::move(message));
  }
  void on_link_up(NodeId node) override {
    if (target_ != nullptr) target_->on_link_up(node);
  }
  void on_link_down(NodeId node) override {
    if (target_ != nullptr) target_->on_link_down(node);
  }

 private:
  LinkHandler* target_ = nullptr;
};

/// An io_context whose waiting coroutines can be dropped before the context itself is.
class NodeIo : public asio::io_context {
 public:
  NodeIo() : asio::io_context(1) {}
  void drop_waiting() { shutdown(); }
};

class RealDaemon final : public Daemon {
 public:
  RealDaemon(DaemonSpec spec, BusContext bus, std::unique_ptr<Store> store)
      : spec_(std::move(spec)),
        bus_(std::move(bus)),
        store_(std::move(store)),
        runtime_(io_, spec_.disk_threads),
        mesh_(spec_.keys.curve.public_key, spec_.roster, spec_.settled_roster, spec_.older_rosters,
              spec_.rosters_over_before) {}

  Status open();
  std::string endpoint() const override { return links_->endpoint(); }
  std::string client_endpoint() const override {
    return remote_clients_ ? remote_clients_->endpoint() : std::string();
  }
  void run() override;
  void stop() override {
    asio::post(io_, [this] { close(); });
  }

 private:
  Status announce();
  void listen(const NodeContext& context);
  std::string seen_from_outside(const std::string& endpoint) const;
  Status serve_clients();
  Status serve_remote_clients();
  void update_links();
  void close();

  // Dropped from the last to the first.
  DaemonSpec spec_;
  BusContext bus_;
  std::unique_ptr<Store> store_;
  NodeIo io_;
  RealRuntime runtime_;
  Mesh mesh_;
  HandlerRelay relay_;
  std::unique_ptr<ZmqLinks> links_;
  std::unique_ptr<Membership> membership_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<LinkHandler> in_front_;
  std::unique_ptr<ClientGate> gate_;
  std::unique_ptr<ClientPort> clients_;
  std::unique_ptr<EventPort> events_;
  std::unique_ptr<ClientPort> remote_clients_;
  bool closing_ = false;
};

Status RealDaemon::open() {
  auto links = ZmqLinks::start(io_, bus_, spec_.keys, spec_.links, relay_);
  if (!links) return fail(std::move(links.error()));
  links_ = std::move(*links);

  const NodeContext context{.runtime = runtime_,
                            .links = *links_,
                            .store = *store_,
                            .mesh = mesh_,
                            .sign_key = &spec_.keys.sign};
  membership_ =
      std::make_unique<Membership>(context, spec_.keys, std::move(spec_.mesh_key),
                                   std::move(spec_.membership), std::move(spec_.membership_files));
  if (auto announced = announce(); !announced) return announced;

  node_ = std::make_unique<Node>(context, *membership_, std::move(spec_.owner), spec_.node,
                                 std::move(spec_.node_files));
  links_->set_hello([this] { return membership_->hello(); },
                    [this](NodeId from, const peer::Hello::Reply& reply) {
                      membership_->on_hello_answered(from, reply);
                      node_->on_peer_time(reply.time_ms);
                    });
  listen(context);
  membership_->on_change([this] { update_links(); });
  update_links();
  node_->start();

  return serve_clients();
}

void RealDaemon::listen(const NodeContext& context) {
  if (spec_.in_front) {
    in_front_ = spec_.in_front({.io = io_,
                                .bus = bus_,
                                .keys = spec_.keys,
                                .context = context,
                                .links = *links_,
                                .membership = *membership_,
                                .node = *node_});
  }
  relay_.set_target(in_front_ ? in_front_.get() : node_.get());
}

Status RealDaemon::serve_clients() {
  gate_ = std::make_unique<ClientGate>(runtime_, *node_, spec_.keys.curve.public_key,
                                       std::move(spec_.client_keys));
  if (const auto& trouble = gate_->trouble()) {
    spdlog::critical("no client can come in over the network: {}", trouble->what);
  }
  auto clients =
      ClientPort::start(io_, bus_, {.endpoint = "ipc://" + spec_.client_socket.string()}, *gate_);
  if (!clients) return fail(std::move(clients.error()));
  clients_ = std::move(*clients);
  auto events = EventPort::start(io_, bus_, "ipc://" + spec_.event_socket.string(),
                                 [this] { node_->on_subscribed(); });
  if (!events) return fail(std::move(events.error()));
  events_ = std::move(*events);
  node_->publish_to(*events_);
  return spec_.remote_clients.endpoint.empty() ? Status{} : serve_remote_clients();
}

Status RealDaemon::serve_remote_clients() {
  auto clients = ClientPort::start_remote(io_, bus_, links_->zap(), spec_.keys.curve,
                                          spec_.remote_clients, *gate_);
  if (!clients) return fail(std::move(clients.error()));
  remote_clients_ = std::move(*clients);
  // Not before the proof that strangers are refused.
  links_->set_clients([this](const NodeId& key) { return gate_->admits(key); });
  gate_->set_endpoint(seen_from_outside(remote_clients_->endpoint()));
  if (spec_.on_client_endpoint) spec_.on_client_endpoint(remote_clients_->endpoint());
  return {};
}

std::string RealDaemon::seen_from_outside(const std::string& endpoint) const {
  return spec_.advertise_host.empty() ? endpoint : with_host(endpoint, spec_.advertise_host);
}

Status RealDaemon::announce() {
  return membership_->set_own_address(seen_from_outside(links_->endpoint()),
                                      seen_from_outside(links_->broadcast_endpoint()));
}

void RealDaemon::update_links() {
  links_->set_members(membership_->members());
  links_->set_invites(membership_->invites());
}

void RealDaemon::run() {
  while (!closing_)
    io_.run_one();
  // Coroutines that waited for something closed end by themselves; the others are unwound here,
  // while everything that they refer to is still there.
  io_.restart();
  io_.run_for(drain_max);
  runtime_.join();
  io_.restart();
  io_.run_for(last_drain_max);
  runtime_.drop_waiting();
  io_.drop_waiting();
}

/// Nothing new comes in, what is under way is cut short, and the io_context runs dry.
void RealDaemon::close() {
  if (closing_) return;
  closing_ = true;
  clients_->stop();
  if (remote_clients_) remote_clients_->stop();
  relay_.set_target(nullptr);
  node_->stop();
  events_->stop();
  links_->stop();
  runtime_.stop();
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::start(DaemonSpec spec) {
  auto bus = BusContext::open({.io_threads = spec.io_threads});
  if (!bus) return fail(std::move(bus.error()));
  const auto on_index_lost = [&spec] {
    spec.settled_roster.reset();
    return spec.forget_settled ? spec.forget_settled() : Status();
  };
  auto store = open_store({.folder = spec.store_folder,
                           .reserve_bytes = spec.reserve_bytes,
                           .index_cache_bytes = spec.index_cache_bytes,
                           .on_index_lost = on_index_lost});
  if (!store) return fail(std::move(store.error()));
  auto daemon = std::make_unique<RealDaemon>(std::move(spec), std::move(*bus), std::move(*store));
  if (auto opened = daemon->open(); !opened) return fail(std::move(opened.error()));
  return daemon;
}

}  // namespace zerodb
