#include "bus/subscription.hpp"

#include <asio/co_spawn.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>

#include "bus/curve.hpp"
#include "bus/or_terminate.hpp"
#include "bus/token_bucket.hpp"

namespace zerodb {
namespace {

/// Of broadcasts not read yet; the publisher drops the rest, and reconcile finds what was in them.
constexpr int messages_max = 1000;

/// The header is the largest frame of a broadcast.
constexpr std::int64_t broadcast_frame_bytes_max = broadcast_bytes_max + 1024;

/// Of each second of this thread, for what one member broadcasts: some 1500 signatures. What is
/// beyond waits, and is dropped by its publisher in the end.
constexpr std::uint64_t busy_us_per_s_max = 100'000;
/// Woken for each message, the thread would spend more on waking than on messages.
constexpr std::chrono::milliseconds pause_min{50};

/// Fails only when the context is shutting down, and then it does not matter.
void set_topic(zmq::socket_t& socket, int option, const std::string& topic) {
  zmq_setsockopt(socket.handle(), option, topic.data(), topic.size());
}

}  // namespace

Result<std::shared_ptr<Subscription>> Subscription::open(asio::io_context& io, BusContext& context,
                                                         const CurvePair& keys,
                                                         const Member& member) {
  auto opened = Socket::open(io, context, zmq::socket_type::sub);
  if (!opened) return fail(std::move(opened.error()));
  auto& socket = (*opened)->zmq();
  // No limit on sending: a SUB sends subscriptions, and would forget those beyond it.
  auto ready = set_limits(socket, {.send_messages_max = 0,
                                   .receive_messages_max = messages_max,
                                   .frame_bytes_max = broadcast_frame_bytes_max});
  if (ready) ready = use_curve(socket, keys, member.node);
  if (ready) ready = connect_to(socket, member.address->broadcast_endpoint);
  if (!ready) return fail(std::move(ready.error()));
  return std::make_shared<Subscription>(std::move(*opened), member);
}

Subscription::Subscription(std::shared_ptr<Socket> socket, const Member& member)
    : socket_(std::move(socket)), opener_(member.node, member.sign_key) {}

void Subscription::run(asio::io_context& io, std::shared_ptr<Subscription> self,
                       Listener listener) {
  asio::co_spawn(io, read(std::move(self), std::move(listener)), or_terminate);
}

asio::awaitable<void> Subscription::read(std::shared_ptr<Subscription> self, Listener listener) {
  TokenBucket busy(busy_us_per_s_max);
  asio::steady_timer timer(co_await asio::this_coro::executor);
  while (auto inbound = co_await self->socket_->receive()) {
    const auto begin = TokenBucket::Clock::now();
    auto opened = self->opener_.open(inbound->frames, listener.is_news);
    if (!opened) {
      listener.on_error(opened.error());
    } else if (*opened) {
      listener.on_message(std::move(**opened));
    }
    const auto now = TokenBucket::Clock::now();
    const auto took = std::chrono::ceil<std::chrono::microseconds>(now - begin);
    busy.take(static_cast<std::uint64_t>(took.count()), now);
    const auto pause = busy.pause(now);
    if (pause <= TokenBucket::Clock::duration::zero()) continue;
    asio::error_code ignored;
    timer.expires_after(pause + pause_min);
    co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  }
}

void Subscription::set_topics(const std::set<std::string>& topics) {
  for (const auto& topic : topics) {
    if (!topics_.contains(topic)) set_topic(socket_->zmq(), ZMQ_SUBSCRIBE, topic);
  }
  for (const auto& topic : topics_) {
    if (!topics.contains(topic)) set_topic(socket_->zmq(), ZMQ_UNSUBSCRIBE, topic);
  }
  topics_ = topics;
}

}  // namespace zerodb
