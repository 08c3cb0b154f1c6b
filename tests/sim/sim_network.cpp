#include "tests/sim/sim_network.hpp"

#include <algorithm>

namespace zerodb::sim {

// ------------------------------------------------------------------------------------- network

namespace {

template <class Variant>
std::string_view name_of(const Variant& message) {
  return std::visit([](const auto& one) { return std::decay_t<decltype(one)>::name; }, message);
}

}  // namespace

void SimNetwork::attach(SimLinks& links) {
  nodes_[links.self_] = &links;
  review_links();
}

void SimNetwork::detach(SimLinks& links) {
  if (find(links.self_) == &links) nodes_.erase(links.self_);
  review_links();
}

SimLinks* SimNetwork::find(const NodeId& node) const {
  const auto found = nodes_.find(node);
  return found == nodes_.end() ? nullptr : found->second;
}

bool SimNetwork::passes(const NodeId& from, const NodeId& to) const {
  return !down_.contains(from) && !down_.contains(to) && !cuts_.contains({from, to}) &&
         nodes_.contains(from) && nodes_.contains(to);
}

void SimNetwork::cut(const NodeId& a, const NodeId& b) {
  cuts_.insert({a, b});
  cut_one_way(b, a);
}

void SimNetwork::cut_one_way(const NodeId& from, const NodeId& to) {
  cuts_.insert({from, to});
  review_links();
}

void SimNetwork::heal(const NodeId& a, const NodeId& b) {
  cuts_.erase({a, b});
  cuts_.erase({b, a});
  review_links();
}

void SimNetwork::heal_all() {
  cuts_.clear();
  review_links();
}

void SimNetwork::down(const NodeId& node) {
  down_.insert(node);
  review_links();
}

void SimNetwork::up(const NodeId& node) {
  down_.erase(node);
  review_links();
}

std::size_t SimNetwork::sent(std::string_view name) const {
  const auto found = sent_.find(name);
  return found == sent_.end() ? 0 : found->second;
}

std::uint64_t SimNetwork::bytes(std::string_view name) const {
  const auto found = bytes_.find(name);
  return found == bytes_.end() ? 0 : found->second;
}

std::uint64_t SimNetwork::bytes() const {
  std::uint64_t total = 0;
  for (const auto& [name, bytes] : bytes_)
    total += bytes;
  return total;
}

std::uint64_t SimNetwork::delay_us(std::size_t bytes) {
  auto delay = world_.random_between(options_.delay_min_us, options_.delay_max_us) +
               bytes * options_.us_per_mib / (1 << 20);
  if (world_.chance(options_.late_per_mille)) {
    delay += world_.random_between(0, options_.late_max_us);
    late_until_us_ = std::max(late_until_us_, world_.now_us() + delay);
  }
  return delay;
}

void SimNetwork::send_request(const NodeId& from, const NodeId& to, std::string_view name,
                              const std::shared_ptr<const Bytes>& header, const Payload& payload) {
  const auto size = header->size() + payload.size();
  world_.after_us(delay_us(size), [this, from, to, name, header, payload, size] {
    auto* there = find(to);
    if (there == nullptr || !passes(from, to) || !there->members_.contains(from)) return;
    arrived(from, to, name, size);
    asio::co_spawn(there->life_.io(), there->serve(from, header, payload), or_terminate);
  });
}

void SimNetwork::review_links() {
  for (const auto& [id, links] : nodes_) {
    for (const auto& member : links->members_)
      links->review(member);
  }
}

// --------------------------------------------------------------------------------------- links

SimLinks::SimLinks(SimNetwork& network, const NodeId& self, LinkHandler& handler, Life& life)
    : network_(network), self_(self), handler_(handler), life_(life) {
  network_.attach(*this);
}

SimLinks::~SimLinks() {
  network_.detach(*this);
}

void SimLinks::set_members(std::set<NodeId> members) {
  members.erase(self_);
  members_ = std::move(members);
  network_.review_links();
}

Task<Result<PeerAnswer>> SimLinks::call(NodeId to, peer::Request request, Payload payload,
                                        Milliseconds timeout) {
  const std::string who = "node " + to.short_hex();
  if (!members_.contains(to)) co_return fail(Errc::not_found, who + ": not a member");
  if (!state(to).up) {
    Result<PeerAnswer> down = fail(Errc::timeout, who + ": the link is down");
    tell_outcome(to, request, down);
    co_return down;
  }
  auto initiate = [&, this](auto handler) {
    auto kept = std::make_shared<decltype(handler)>(std::move(handler));
    const auto id = begin_call(to, request, [this, kept](Result<PeerAnswer> answer) {
      auto boxed = std::make_shared<Result<PeerAnswer>>(std::move(answer));
      asio::post(life_.io(), [kept, boxed] { std::move (*kept)(std::move(*boxed)); });
    });
    const auto name = name_of(request);
    const auto header = std::make_shared<const Bytes>(codec::encode(id, request));
    network_.count(name);
    network_.count_bytes(name, header->size() + payload.size());
    const int copies = network_.world_.chance(network_.options_.double_per_mille) ? 2 : 1;
    for (int i = 0; i < copies; ++i) {
      if (network_.world_.chance(network_.options_.drop_per_mille)) continue;
      network_.send_request(self_, to, name, header, payload);
    }
    const auto limit_us = static_cast<std::uint64_t>(timeout.count()) * 1000;
    life_.after_us(limit_us, [&network = network_, self = self_, id, who] {
      auto* here = network.find(self);
      if (here != nullptr) here->end_call(id, fail(Errc::timeout, who + ": no answer in time"));
    });
  };
  co_return co_await asio::async_initiate<decltype(asio::use_awaitable), void(Result<PeerAnswer>)>(
      std::move(initiate), asio::use_awaitable);
}

std::uint64_t SimLinks::begin_call(const NodeId& to, const peer::Request& request,
                                   std::function<void(Result<PeerAnswer>)> resume) {
  const auto id = network_.next_call_++;  // of no earlier life of this node, either
  calls_.emplace(id, Pending{to, request, std::move(resume)});
  network_.calls_peak_ = std::max(network_.calls_peak_, calls_.size());
  return id;
}

void SimLinks::end_call(std::uint64_t id, Result<PeerAnswer> answer) {
  auto ended = calls_.extract(id);
  if (ended.empty()) return;  // it was answered before
  const auto& call = ended.mapped();
  tell_outcome(call.to, call.request, answer);
  call.resume(std::move(answer));
}

/// Runs at the node that was asked.
Task<void> SimLinks::serve(NodeId from, std::shared_ptr<const Bytes> header, Payload payload) {
  auto decoded = codec::decode_peer_request(*header);
  if (!decoded) throw std::logic_error("request does not decode: " + decoded.error().error.what);
  const Caller caller{.key = from, .role = Caller::Role::member};
  auto answer = co_await handler_.on_request(caller, decoded->message, std::move(payload));
  reply(from, *decoded, std::move(answer));
}

void SimLinks::reply(const NodeId& to, const codec::Decoded<peer::Request>& request,
                     Result<PeerAnswer> answer) {
  if (network_.on_answer) network_.on_answer(self_, request.message, answer);
  if (network_.silent == self_ && !std::holds_alternative<peer::Hello>(request.message)) return;
  auto header = answer ? codec::encode(request.id, answer->message)
                       : codec::encode(request.id, answer.error());
  auto payload = answer ? answer->payload : Payload();
  const auto size = header.size() + payload.size();
  const auto name = name_of(request.message);
  network_.count_bytes(name, size);
  if (network_.world_.chance(network_.options_.drop_per_mille)) return;
  network_.world_.after_us(network_.delay_us(size),
                           [&network = network_, self = self_, to, name, header, payload, size] {
                             auto* there = network.find(to);
                             if (there == nullptr || !network.passes(self, to)) return;
                             network.arrived(self, to, name, size);
                             there->deliver(self, header, payload);
                           });
}

/// Runs at the node that asked.
void SimLinks::deliver(const NodeId& from, const Bytes& header, const Payload& payload) {
  auto decoded = codec::decode_peer_reply(header);
  if (!decoded) throw std::logic_error("reply does not decode: " + decoded.error().error.what);
  links_[from].heard_ms = network_.world_.now_ms();
  if (!decoded->message) {
    end_call(decoded->id, fail(std::move(decoded->message.error())));
  } else {
    end_call(decoded->id, PeerAnswer{std::move(*decoded->message), payload});
  }
}

void SimLinks::publish(const ObjectId& about, broadcast::Message message) {
  network_.count("broadcast " + std::string(name_of(message)));
  const codec::BroadcastHeader header{
      .from = self_, .time_ms = network_.world_.now_ms(), .sequence = next_broadcast_++};
  const auto encoded = codec::encode(header, message);
  for (const auto& member : members_) {
    if (network_.world_.chance(network_.options_.broadcast_drop_per_mille)) continue;
    network_.world_.after_us(network_.delay_us(encoded.size()), [&network = network_, self = self_,
                                                                 member, about, encoded] {
      auto* there = network.find(member);
      if (there == nullptr || !network.passes(self, member)) return;
      if (!there->members_.contains(self)) return;
      network.arrived(self, member, "broadcast", encoded.size());
      there->life_.io();  // what it does next is ready to run
      auto decoded = codec::decode_broadcast(encoded);
      if (!decoded) throw std::logic_error("broadcast: " + decoded.error().what);
      if (!there->wants(about, decoded->second)) return;
      if (!there->handler_.is_news(decoded->second)) return;
      there->handler_.on_broadcast(decoded->first.from, std::move(decoded->second));
    });
  }
}

bool SimLinks::wants(const ObjectId& about, const broadcast::Message& message) const {
  return std::holds_alternative<broadcast::Get>(message) || owners_.contains(about.owner) ||
         partitions_.contains(partition_of(about.hashed_key));
}

void SimLinks::subscribe(std::set<Partition> partitions, std::set<OwnerId> owners) {
  partitions_ = std::move(partitions);
  owners_ = std::move(owners);
}

LinkState SimLinks::state(const NodeId& node) const {
  const auto found = links_.find(node);
  if (found == links_.end()) return {};
  LinkState state{.up = found->second.up && members_.contains(node), .heard_ms_ago = {}};
  const auto now_ms = network_.world_.now_ms();
  if (found->second.heard_ms) state.heard_ms_ago = now_ms - *found->second.heard_ms;
  state.since_ms_ago = now_ms - found->second.changed_ms;
  const auto late_after =
      static_cast<std::uint64_t>(network_.options_.ping_interval.count()) * 3 / 2;
  const bool is_late = !can_reach(node) && *state.since_ms_ago > late_after;
  if (state.up) state.health = is_late ? Health::suspect : Health::alive;
  return state;
}

bool SimLinks::can_reach(const NodeId& node) const {
  const auto* there = network_.find(node);
  return there != nullptr && network_.passes(self_, node) && network_.passes(node, self_) &&
         there->members_.contains(self_) && members_.contains(node);
}

/// Starts noticing, at the pace of pings, when the link is not what it could be.
void SimLinks::review(const NodeId& node) {
  auto& link = links_[node];
  if (link.noticing || link.up == can_reach(node)) return;
  link.noticing = true;
  if (link.up) link.changed_ms = network_.world_.now_ms();
  const auto wait = link.up ? network_.options_.down_after : network_.options_.ping_interval;
  const auto most_us = static_cast<std::uint64_t>(wait.count()) * 1000;
  const auto delay = link.up ? most_us : network_.world_.random_between(0, most_us);
  life_.after_us(delay, [&network = network_, self = self_, node] {
    if (auto* here = network.find(self)) here->notice(node);
  });
}

void SimLinks::notice(const NodeId& node) {
  auto& link = links_[node];
  link.noticing = false;
  if (link.up == can_reach(node)) return;
  link.up = !link.up;
  if (link.up) {
    link.heard_ms = network_.world_.now_ms();
    link.changed_ms = network_.world_.now_ms();
    handler_.on_link_up(node);
  } else {
    if (network_.on_link_down) network_.on_link_down(self_, node);
    handler_.on_link_down(node);
  }
}

}  // namespace zerodb::sim
