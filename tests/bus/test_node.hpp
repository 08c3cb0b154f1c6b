#pragma once
// A node's links and a handler whose answers the test decides. Each has a context of its own, so
// that many nodes live in one process; all share the test's io_context and thread.

#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "bus/zmq_links.hpp"
#include "store/hash.hpp"
#include "tests/support/coroutines.hpp"

namespace zerodb::test {

using OnRequest = std::function<Task<Result<PeerAnswer>>(Caller, peer::Request, Payload)>;

/// What a TestNode answers until told otherwise: the payload it got.
inline Task<Result<PeerAnswer>> echo(Caller, peer::Request, Payload payload) {
  co_return PeerAnswer{.message = peer::Ok{}, .payload = std::move(payload)};
}

/// Loopback, and no member counts as dead because the machine is busy.
inline ZmqLinksOptions calm_options() {
  ZmqLinksOptions options;
  options.down_after = Milliseconds(10'000);
  options.listen = "tcp://127.0.0.1:0";
  options.broadcast_listen = "tcp://127.0.0.1:0";
  options.ping_interval = Milliseconds(50);
  return options;
}

/// For tests of death: it is noticed soon.
inline ZmqLinksOptions fast_options() {
  auto options = calm_options();
  options.down_after = Milliseconds(500);
  return options;
}

inline const bool crypto_ready = initialise_crypto().has_value();

class TestNode : public LinkHandler {
 public:
  explicit TestNode(asio::io_context& io, NodeKeys keys = NodeKeys::generate(),
                    const ZmqLinksOptions& options = calm_options())
      : keys_(std::move(keys)), context_(std::move(*BusContext::open({.io_threads = 1}))) {
    auto started = ZmqLinks::start(io, context_, keys_, options, *this);
    if (!started) FAIL(started.error().what);
    links_ = std::move(*started);
    links_->set_hello([] { return peer::Hello{}; }, [](NodeId, const peer::Hello::Reply&) {});
  }
  ~TestNode() override { stop(); }

  void stop() {
    if (links_) links_->stop();
  }

  const NodeId& id() const { return keys_.curve.public_key; }
  const NodeKeys& keys() const { return keys_; }
  ZmqLinks& links() { return *links_; }
  BusContext& context() { return context_; }
  Member member() const {
    return {.node = id(),
            .sign_key = keys_.sign.public_key(),
            .address = PeerAddress{.node = id(),
                                   .endpoint = links_->endpoint(),
                                   .broadcast_endpoint = links_->broadcast_endpoint()}};
  }
  bool is_up(const TestNode& other) const { return links_->state(other.id()).up; }

  Task<Result<PeerAnswer>> on_request(Caller caller, peer::Request request,
                                      Payload payload) override {
    if (std::holds_alternative<peer::Hello>(request)) {
      on_ping();
      co_return PeerAnswer{.message = peer::Hello::Reply{}, .payload = {}};
    }
    callers.push_back(caller);
    co_return co_await answer(caller, std::move(request), std::move(payload));
  }
  bool is_news(const broadcast::Message& message) const override { return heeds(message); }
  void on_broadcast(NodeId from, broadcast::Message message) override {
    broadcasts.emplace_back(from, std::move(message));
  }
  void on_link_up(NodeId node) override { ups.push_back(node); }
  void on_link_down(NodeId node) override { downs.push_back(node); }

  OnRequest answer = echo;
  std::function<bool(const broadcast::Message&)> heeds = [](const auto&) { return true; };
  std::function<void()> on_ping = [] {};
  std::vector<Caller> callers;  ///< of everything but pings
  std::vector<std::pair<NodeId, broadcast::Message>> broadcasts;
  std::vector<NodeId> ups;
  std::vector<NodeId> downs;

 private:
  NodeKeys keys_;
  BusContext context_;
  std::unique_ptr<ZmqLinks> links_;
};

inline void introduce(std::initializer_list<TestNode*> nodes) {
  std::vector<Member> members;
  for (const auto* node : nodes)
    members.push_back(node->member());
  for (auto* node : nodes)
    node->links().set_members(members);
}

/// Introduces the nodes to each other and waits until all links are up.
inline void connect(asio::io_context& io, std::initializer_list<TestNode*> nodes) {
  introduce(nodes);
  run_until(io, [&] {
    return std::ranges::all_of(nodes, [&](const auto* a) {
      return std::ranges::all_of(nodes, [&](const auto* b) { return a == b || a->is_up(*b); });
    });
  });
}

}  // namespace zerodb::test
