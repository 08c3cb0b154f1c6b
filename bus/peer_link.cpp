#include "bus/peer_link.hpp"

#include <asio/co_spawn.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

#include "bus/codec.hpp"
#include "bus/curve.hpp"
#include "bus/or_terminate.hpp"

namespace zerodb {
namespace {

constexpr int control_messages_max = 1000;
constexpr int data_messages_max = 32;

/// libzmq never knocks again where it was refused, so a lane that stays silent is made anew: soon
/// at first, for a member that just did not know us yet, then less often.
constexpr Milliseconds redial_first{1000};
constexpr Milliseconds redial_max{16000};
constexpr Milliseconds grace{50};

/// A member refuses one that it has not heard of yet, too, so the first time means nothing.
constexpr unsigned refusals_meant = 2;

Milliseconds since(std::chrono::steady_clock::time_point moment) {
  return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - moment);
}

template <class T>
bool holds_chunk(const T&) {
  return std::is_same_v<T, peer::PutChunk> || std::is_same_v<T, peer::GetChunk>;
}

/// Settles the books of a request however it ends.
struct InFlight {
  Lane& lane;
  std::uint64_t id;
  ~InFlight() { lane.drop(id); }
};

}  // namespace

PeerLink::PeerLink(const LinkContext& context, const Member& member)
    : context_(context),
      member_(member),
      name_("node " + member.node.short_hex()),
      requests_(std::make_shared<RequestTable>(context.io)),
      unsent_(std::make_shared<ByteBudget>(context.options.peer_bytes_max)),
      resolver_(context.io),
      timer_(context.io),
      restart_timer_(context.io) {}

LinkState PeerLink::state() const {
  LinkState state{.up = up_, .refuses = refusals_ >= refusals_meant};
  if (up_) state.health = is_late() ? Health::suspect : Health::alive;
  if (heard_at_) state.heard_ms_ago = static_cast<std::uint64_t>(since_heard().count());
  const auto silent_since = heard_at_.value_or(started_at_);
  const auto changed_at = state.health == Health::alive ? alive_since_ : silent_since;
  state.since_ms_ago = static_cast<std::uint64_t>(since(changed_at).count());
  return state;
}

/// Whether the answer to the last ping should be here by now.
bool PeerLink::is_late() const {
  return since_heard() > context_.options.ping_interval * 3 / 2;
}

void PeerLink::start() {
  if (std::exchange(started_, true)) return;
  hang_up();
  asio::co_spawn(context_.io, keep_alive(shared_from_this()), or_terminate);
  asio::co_spawn(context_.io, notice_restarts(shared_from_this()), or_terminate);
}

Task<Result<PeerAnswer>> PeerLink::call(std::shared_ptr<PeerLink> self, peer::Request request,
                                        Payload payload, Milliseconds timeout) {
  if (!self->up_) co_return fail(self->down_error());
  auto lane = self->lane_for(request);
  co_return co_await ask(self, std::move(lane), std::move(request), std::move(payload), timeout);
}

void PeerLink::set_topics(const std::set<std::string>& topics) {
  topics_ = topics;
  if (subscription_) subscription_->set_topics(topics_);
}

void PeerLink::nudge() {
  if (up_ || !started_ || closed_) return;
  if (Clock::now() - dialled_at_ < 2 * redial_first) return;
  nudged_ = true;
  requests_->fail_all(down_error());  // the hello that waits in vain
  timer_.cancel();
}

void PeerLink::close(const Error& reason) {
  if (std::exchange(closed_, true)) return;
  up_ = false;
  if (control_) control_->close();
  for (const auto& lane : data_)
    lane->close();
  if (subscription_) subscription_->close();
  requests_->fail_all(reason);
  resolver_.cancel();
  timer_.cancel();
  restart_timer_.cancel();
}

// ---------------------------------------------------------------------------------- the pulse

Task<void> PeerLink::keep_alive(std::shared_ptr<PeerLink> self) {
  auto patience = redial_first;
  while (!self->closed_) {
    if (self->up_) {
      co_await watch(self);
      patience = redial_first;
    } else {
      co_await dial(self, patience);
      patience = std::min(patience * 2, redial_max);
    }
  }
}

/// One ping to a member that is up.
Task<void> PeerLink::watch(std::shared_ptr<PeerLink> self) {
  const auto down_after = self->context_.options.down_after;
  co_await pause(self, self->context_.options.ping_interval);
  if (self->closed_ || !self->up_) co_return;
  const bool answered = co_await ping(self, down_after);
  if (self->closed_ || answered || !self->up_) co_return;
  // If it was this node that stood still, the answer is here and only waits to be read.
  co_await pause(self, grace);
  const bool silent = self->since_heard() >= down_after;
  if (!self->closed_ && self->up_ && silent) self->go_down();
}

/// A member that was killed and started again within `down_after` never answers what it was asked
/// before, and may hold what nobody was told of: so it counts as down for a moment.
Task<void> PeerLink::notice_restarts(std::shared_ptr<PeerLink> self) {
  while (!self->closed_) {
    asio::error_code ended;
    self->restart_timer_.expires_after(self->context_.options.ping_interval);
    co_await self->restart_timer_.async_wait(asio::redirect_error(asio::use_awaitable, ended));
    if (self->closed_ || !self->up_ || !self->control_ || !self->control_->news().reconnected)
      continue;
    self->go_down();
    self->timer_.cancel();
  }
}

/// A host with a name is looked up anew for each attempt: it may have moved.
Task<void> PeerLink::connect(std::shared_ptr<PeerLink> self) {
  auto address = *self->member_.address;
  auto found = co_await resolve(self->resolver_, std::move(address), self->look_ups_++);
  if (self->closed_) co_return;
  if (!found) {
    self->context_.events.complain(self->member_.node, "no address", found.error().what);
    co_return;
  }
  self->resolved_ = std::move(*found);
  self->dialled_at_ = Clock::now();
  if (auto lane = self->open_lane(control_messages_max, true)) self->control_ = std::move(*lane);
}

/// One attempt at a member that is down: its hello leaves the moment there is a connection.
Task<void> PeerLink::dial(std::shared_ptr<PeerLink> self, Milliseconds patience) {
  co_await connect(self);
  if (self->closed_) co_return;
  const bool answered = co_await ping(self, patience);
  if (self->closed_ || answered) co_return;
  const auto waited = std::chrono::duration_cast<Milliseconds>(Clock::now() - self->dialled_at_);
  if (!self->nudged_) co_await pause(self, patience - waited);
  if (self->closed_) co_return;
  self->note_refusal();
  self->hang_up();
}

/// True if the member answered; it is up then.
Task<bool> PeerLink::ping(std::shared_ptr<PeerLink> self, Milliseconds timeout) {
  if (!self->control_) co_return false;
  peer::Request request = self->context_.events.make_hello();
  const auto lane = self->control_;
  auto answer = co_await ask(self, lane, std::move(request), Payload(), timeout);
  const bool hung_up_meanwhile = self->control_ != lane;
  if (self->closed_ || hung_up_meanwhile || !answer) co_return false;
  const auto* reply = std::get_if<peer::Hello::Reply>(&answer->message);
  if (reply == nullptr) co_return false;
  if (!self->up_) self->go_up();
  if (!self->closed_) self->context_.events.on_hello(self->member_.node, *reply);
  co_return true;
}

Task<void> PeerLink::pause(std::shared_ptr<PeerLink> self, Milliseconds duration) {
  asio::error_code ended;
  self->timer_.expires_after(std::max(duration, Milliseconds{0}));
  co_await self->timer_.async_wait(asio::redirect_error(asio::use_awaitable, ended));
}

void PeerLink::note_refusal() {
  refusals_ = control_ && control_->news().refused ? refusals_ + 1 : 0;
  if (refusals_ != refusals_meant) return;
  context_.events.complain(
      member_.node, "refusal",
      "it does not know this node's key: was this node removed from the mesh?");
}

void PeerLink::go_up() {
  up_ = true;
  refusals_ = 0;
  alive_since_ = Clock::now();
  for (unsigned i = 0; i < context_.options.data_lanes; ++i) {
    if (auto lane = open_lane(data_messages_max, false)) data_.push_back(std::move(*lane));
  }
  if (!resolved_.broadcast_endpoint.empty()) open_subscription();
  context_.events.on_up(member_.node);
}

void PeerLink::open_subscription() {
  auto found = member_;
  found.address = resolved_;
  auto opened = Subscription::open(context_.io, context_.context, *context_.keys, found);
  if (!opened) {
    context_.events.complain(member_.node, "no subscription", opened.error().what);
    return;
  }
  subscription_ = std::move(*opened);
  subscription_->set_topics(topics_);
  const auto self = shared_from_this();
  Subscription::run(
      context_.io, subscription_,
      {.is_news =
           [self](const broadcast::Message& message) {
             return self->context_.events.is_news(message);
           },
       .on_message =
           [self](broadcast::Message message) {
             self->context_.events.on_broadcast(self->member_.node, std::move(message));
           },
       .on_error =
           [self](const Error& error) {
             self->context_.events.complain(self->member_.node, "bad broadcast", error.what);
           }});
}

void PeerLink::go_down() {
  up_ = false;
  for (const auto& lane : data_)
    lane->close();
  data_.clear();
  if (subscription_) subscription_->close();
  subscription_.reset();
  requests_->fail_all(down_error());
  hang_up();
  context_.events.on_down(member_.node);
}

void PeerLink::hang_up() {
  dialled_at_ = Clock::now();
  nudged_ = false;
  if (control_) control_->close();
  control_.reset();
}

// ----------------------------------------------------------------------------------- requests

Result<std::shared_ptr<Lane>> PeerLink::open_lane(int messages_max, bool watched) {
  const LaneOptions options{.server = member_.node,
                            .endpoint = resolved_.endpoint,
                            .number = ++last_lane_,
                            .messages_max = messages_max,
                            .watched = watched};
  auto lane = Lane::open(context_.io, context_.context, *context_.keys, options);
  if (!lane) {
    context_.events.complain(member_.node, "no lane", lane.error().what);
    return lane;
  }
  asio::co_spawn(context_.io, read(shared_from_this(), *lane), or_terminate);
  return lane;
}

std::shared_ptr<Lane> PeerLink::lane_for(const peer::Request& request) const {
  const bool bulk = std::visit([](const auto& kind) { return holds_chunk(kind); }, request);
  if (!bulk || data_.empty()) return control_;
  return *std::ranges::min_element(data_, {}, [](const auto& lane) { return lane->in_flight(); });
}

Task<Result<PeerAnswer>> PeerLink::ask(std::shared_ptr<PeerLink> self, std::shared_ptr<Lane> lane,
                                       peer::Request request, Payload payload,
                                       Milliseconds timeout) {
  const auto id = self->requests_->next_id();
  std::array frames{Payload::take(codec::encode(id, request)), std::move(payload)};
  if (frames[0].size() > codec::header_bytes_max || frames[1].size() > payload_bytes_max) {
    co_return fail(Errc::invalid, "a message to " + self->name_ + " is too large");
  }
  const bool is_pulse = std::holds_alternative<peer::Hello>(request);
  if (!is_pulse && !self->admit(frames)) {
    co_return fail(Errc::busy, self->name_ + ": too much waits for it already");
  }
  const InFlight in_flight{*lane, id};
  lane->send(id, std::move(frames[0]), std::move(frames[1]));
  auto answer = co_await RequestTable::await_answer(self->requests_, id, lane->number(), timeout);
  if (answer) co_return std::move(*answer);
  co_return fail(Errc::timeout,
                 self->name_ + ": no answer within " + std::to_string(timeout.count()) + " ms");
}

/// Charges what is about to be queued; false if there is no room.
bool PeerLink::admit(std::array<Payload, 2>& frames) const {
  if (requests_->size() >= context_.options.requests_per_peer_max) return false;
  for (auto& frame : frames) {
    auto charged = ByteBudget::charge(unsent_, std::move(frame));
    if (!charged) return false;
    frame = std::move(*charged);
  }
  return true;
}

Task<void> PeerLink::read(std::shared_ptr<PeerLink> self, std::shared_ptr<Lane> lane) {
  while (auto inbound = co_await lane->receive())
    self->on_reply(*lane, *inbound);
}

void PeerLink::on_reply(const Lane& lane, const Inbound& inbound) {
  if (up_ && is_late()) alive_since_ = Clock::now();
  heard_at_ = Clock::now();
  if (inbound.frames.size() != 2) {
    context_.events.complain(member_.node, "malformed reply", "not two frames");
    return;
  }
  auto reply = codec::decode_peer_reply(inbound.frames[0].view());
  if (!reply) {
    context_.events.complain(member_.node, "malformed reply", reply.error().error.what);
    requests_->answer(reply.error().id, lane.number(),
                      fail(Errc::invalid, name_ + ": unreadable answer"));
    return;
  }
  auto& answer = reply->message;
  if (answer) {
    requests_->answer(reply->id, lane.number(), PeerAnswer{std::move(*answer), inbound.frames[1]});
  } else {
    requests_->answer(reply->id, lane.number(), fail(std::move(answer.error())));
  }
}

Milliseconds PeerLink::since_heard() const {
  return since(heard_at_.value_or(dialled_at_));
}

Error PeerLink::down_error() const {
  return {Errc::timeout, name_ + " is down"};
}

}  // namespace zerodb
