#include "bus/responder.hpp"

#include <asio/co_spawn.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "bus/codec.hpp"
#include "bus/curve.hpp"
#include "bus/or_broken_off.hpp"
#include "bus/or_terminate.hpp"

namespace zerodb {
namespace {

/// Loads of peers that have nothing going on are forgotten beyond this many.
constexpr std::size_t loads_max = 4096;

/// Nobody honest has so many requests waiting for the turn of what may take long. Who has gets a
/// sixteenth of the time.
constexpr std::size_t flood_min = 16;
constexpr int pauses_per_work = 15;

/// How long a peer that had more under way than it may is served slowly.
constexpr std::chrono::seconds overrun_for{1};

using Clock = TokenBucket::Clock;

/// Whether so many may pass now.
bool take(TokenBucket& bucket, std::uint64_t count = 1) {
  const auto now = Clock::now();
  if (bucket.pause(now) > Clock::duration::zero()) return false;
  bucket.take(count, now);
  return true;
}

template <class... Kinds>
bool is_one_of(const peer::Request& request) {
  return (std::holds_alternative<Kinds>(request) || ...);
}

/// Nobody honest says much of this, and what is dropped is said again.
bool is_about_membership(const peer::Request& request) {
  return is_one_of<peer::Hello, peer::GetRoster, peer::NewRoster, peer::Join>(request);
}

/// As talk of membership: a roster's signature is of all its bytes.
std::uint64_t weight_of(ByteView header) {
  return 1 + header.size() / (16 << 10);
}

}  // namespace

Responder::Responder(asio::io_context& io, std::shared_ptr<Socket> router,
                     std::shared_ptr<ConnectionWatch> connections, const ResponderOptions& options,
                     LinkHandler& handler)
    : io_(io),
      router_(std::move(router)),
      connections_(std::move(connections)),
      replies_(std::make_shared<ReplyQueue>(io, router_)),
      options_(options),
      handler_(handler),
      bans_(options.offences_per_s_max, options.ban) {}

void Responder::run(WhoIs who_is, OnHeard on_heard) {
  who_is_ = std::move(who_is);
  on_heard_ = std::move(on_heard);
  asio::co_spawn(io_, serve(shared_from_this()), or_terminate);
}

void Responder::close() {
  router_->close();
  replies_->close();
  for (const auto& [key, load] : loads_) {  // what waits holds the load it waits in
    load->handlers.waiting.clear();
    load->reads.waiting.clear();
    load->proofs.waiting.clear();
    load->listings.waiting.clear();
  }
}

asio::awaitable<void> Responder::serve(std::shared_ptr<Responder> self) {
  while (auto inbound = co_await self->router_->receive()) {
    self->on_message(std::move(*inbound));
    self->replies_->retry();
  }
}

void Responder::on_message(Inbound inbound) {
  const auto key = NodeId::from_hex(inbound.user_id).value_or(NodeId());
  if (has_banned(key)) return drop_banned(inbound, key);
  const auto caller = who_is_(key);
  // Nothing is said to strangers: they held a connection from when they were members.
  if (!caller) return on_offence(key, "not a member any more", "dropped");
  on_heard_(*caller);
  if (inbound.frames.size() != 3) {
    return on_offence(key, "malformed request", "not two frames");
  }
  Ask ask{.caller = *caller, .load = load_of(caller->key), .route = inbound.frames[0], .id = 0};
  if (is_deaf(*ask.load)) return drop(ask, "does not read its answers");
  const auto header = inbound.frames[1].view();
  if (!take(ask.load->reading, codec::count_items(header))) {
    return on_offence(key, "sends long headers without pause", "dropped one unread");
  }
  auto decoded = codec::decode_peer_request(header);
  if (!decoded) {
    const auto& [error, id] = decoded.error();
    if (id == 0) return on_offence(key, "malformed request", error.what);
    complaints_.about(caller->key, "malformed request", error.what);
    ask.id = id;
    return refuse(ask, error);
  }
  ask.id = decoded->id;
  if (is_about_membership(decoded->message) && !take(ask.load->greetings, weight_of(header))) {
    return on_offence(key, "greets without pause", "dropped a greeting");
  }
  on_request({std::move(ask), std::move(decoded->message), inbound.frames[2], inbound.frames[1]});
}

/// Something that is not even answered. To receive and decrypt it costs more than all that is done
/// with it here, so who sends much of it is not listened to.
void Responder::on_offence(const NodeId& key, const std::string& kind, const std::string& detail) {
  complaints_.about(key, kind, detail);
  if (!bans_.on_offence(key, Clock::now())) return;
  complaints_.about(key, "banned for a while", kind);
}

/// A request that is too much. Some of these are no offence: whoever waits for a node that does not
/// keep up goes on asking, with what its time-outs make room for.
void Responder::drop(const Ask& ask, const std::string& kind) {
  if (!take(ask.load->drops)) return on_offence(ask.caller.key, kind, "dropped a request");
  complaints_.about(ask.caller.key, kind, "dropped a request");
}

/// Its connections are closed as more comes by them.
void Responder::drop_banned(const Inbound& inbound, const NodeId& key) {
  const auto route = as_text(inbound.frames[0].view());
  if (bans_.is_first_from(key, route, inbound.descriptor))
    connections_->hang_up(inbound.descriptor);
}

/// No honest peer leaves so many answers unread: it has at most `requests_per_peer_max` under way.
bool Responder::is_deaf(const Load& load) const {
  constexpr std::size_t payloads_per_reply = 2;  // its header is one
  return load.replies->payloads() >= 2 * options_.requests_per_peer_max * payloads_per_reply;
}

void Responder::on_request(Waiting asked) {
  const auto& ask = asked.ask;
  const bool may_join_only = ask.caller.role == Caller::Role::invite;
  if (may_join_only && !std::holds_alternative<peer::Join>(asked.request)) {
    return refuse(ask, {Errc::denied, "an invite is good for joining only"});
  }
  auto* turns = turns_for(*ask.load, asked.request);
  if (turns == nullptr) return start(std::move(asked), turns);
  auto header = ByteBudget::charge(ask.load->requests, std::move(asked.header));
  auto payload = ByteBudget::charge(ask.load->requests, std::move(asked.payload));
  if (!header || !payload || ask.load->answering >= options_.requests_per_peer_max) {
    ask.load->overran_at = Clock::now();
    return refuse(ask, {Errc::busy, "too many requests are being answered already"});
  }
  if (ask.load->replies->used() + payload_bytes_max > options_.peer_bytes_max) {
    return refuse(ask, {Errc::busy, "the answer might find no room: read answers faster"});
  }
  asked.header = std::move(*header);
  asked.payload = std::move(*payload);
  if (turns->taken >= turns->most) {
    ++ask.load->answering;
    turns->waiting.push_back(std::move(asked));
    return;
  }
  ++turns->taken;
  start(std::move(asked), turns);
}

void Responder::start(Waiting asked, Turns* turns) {
  ++asked.ask.load->answering;
  asio::co_spawn(io_, answer(shared_from_this(), std::move(asked), turns), or_terminate);
}

/// A greeting waits for nothing: it is what tells the living from the dead.
Responder::Turns* Responder::turns_for(Load& load, const peer::Request& request) {
  if (is_one_of<peer::Hello>(request)) return nullptr;
  if (is_one_of<peer::GetDigests, peer::GetEntries, peer::Confirm>(request)) return &load.listings;
  if (is_one_of<peer::Prove>(request)) return &load.proofs;
  if (is_one_of<peer::GetManifest, peer::GetChunk, peer::GetLeaves>(request)) return &load.reads;
  return &load.handlers;
}

/// One request after the other, as long as some wait for this turn.
asio::awaitable<void> Responder::answer(std::shared_ptr<Responder> self, Waiting first,
                                        Turns* turns) {
  std::optional<Waiting> next(std::move(first));
  const auto load = next->ask.load;  // where `turns` is
  asio::steady_timer timer(self->io_);
  while (next) {
    const auto begin = Clock::now();
    const auto ask = std::move(next->ask);
    auto handle = [&] {
      return self->handler_.on_request(ask.caller, std::move(next->request),
                                       std::move(next->payload));
    };
    auto result = co_await or_broken_off(handle);
    --load->answering;
    self->reply(ask, std::move(result));
    next.reset();
    if (turns == nullptr || turns->waiting.empty() || self->router_->closed()) break;
    const auto pause = pause_after(*load, *turns, Clock::now() - begin);
    if (pause > Clock::duration::zero()) {
      asio::error_code ignored;
      timer.expires_after(pause);
      co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
      if (turns->waiting.empty() || self->router_->closed()) break;
    }
    next.emplace(std::move(turns->waiting.front()));
    turns->waiting.pop_front();
  }
  if (turns != nullptr) --turns->taken;
}

/// Before the next of those that wait, so that a peer which asks without end does not take the time
/// of all others.
TokenBucket::Clock::duration Responder::pause_after(Load& load, const Turns& turns,
                                                    TokenBucket::Clock::duration work) {
  if (turns.costly) {
    return turns.waiting.size() >= flood_min ? work * pauses_per_work : Clock::duration::zero();
  }
  const auto now = Clock::now();
  if (now - load.overran_at >= overrun_for) return Clock::duration::zero();
  load.overrun.take(1, now);
  return load.overrun.pause(now);
}

void Responder::refuse(const Ask& ask, Error why) {
  if (take(ask.load->refusals)) return reply(ask, fail(std::move(why)));
  drop(ask, "asks without pause");
}

void Responder::reply(const Ask& ask, Result<PeerAnswer> answer) {
  if (router_->closed()) return;
  if (answer && answer->payload.size() > payload_bytes_max) {
    answer = fail(Errc::invalid, "the answer is too large to send");
  }
  if (answer) {
    if (send(ask, codec::encode(ask.id, answer->message), std::move(answer->payload))) return;
    answer = fail(Errc::busy, "the answer found no room: read answers faster");
  }
  if (!send(ask, codec::encode(ask.id, answer.error()), Payload())) {
    complaints_.about(ask.caller.key, "does not read its answers", "dropped one");
  }
}

bool Responder::send(const Ask& ask, Bytes header, Payload payload) {
  if (header.size() > codec::header_bytes_max) return false;
  auto charged_header = ByteBudget::charge(ask.load->replies, Payload::take(std::move(header)));
  auto charged_payload = ByteBudget::charge(ask.load->replies, std::move(payload));
  if (!charged_header || !charged_payload) return false;
  replies_->send({ask.route, std::move(*charged_header), std::move(*charged_payload)});
  return true;
}

std::shared_ptr<Responder::Load> Responder::load_of(const NodeId& key) {
  if (loads_.size() >= loads_max) {
    std::erase_if(loads_, [](const auto& load) {
      const auto& idle = *load.second;
      return idle.requests->used() == 0 && idle.replies->used() == 0 && idle.answering == 0;
    });
  }
  auto& load = loads_[key];
  if (!load) load = std::make_shared<Load>(options_);
  return load;
}

}  // namespace zerodb
