#include "bus/async_channel.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <atomic>
#include <cstring>

#include "bus/client_socket_path.hpp"
#include "bus/client_target.hpp"
#include "bus/codec.hpp"

namespace zerodb {

namespace {

// Below what a node allows one client (PROTOCOL.md), so that it never has to say `busy`.
constexpr std::size_t requests_sent_max = 256;
constexpr std::size_t bytes_sent_max = std::size_t{48} << 20;
constexpr std::chrono::milliseconds clock_interval{250};

constexpr int connection_events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                                  ZMQ_EVENT_CLOSED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                                  ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;

void watch_into(zmq::socket_t& monitor, zmq::socket_t& dealer) {
  static std::atomic<unsigned> count{0};
  const auto address = "inproc://async-client-" + std::to_string(++count);
  if (zmq_socket_monitor(dealer.handle(), address.c_str(), connection_events) != 0) {
    throw zmq::error_t();
  }
  monitor.set(zmq::sockopt::linger, 0);
  monitor.set(zmq::sockopt::rcvhwm, 0);  // libzmq drops events at the mark, and each one matters
  monitor.connect(address);
}

Error hung(const std::filesystem::path& folder) {
  return {Errc::io,
          "the node on " + printable(folder.string()) + " does not answer: is it stopped or hung?"};
}

}  // namespace

// ------------------------------------------------------------------------------------- requests

Task<Result<AsyncChannel::Answer>> AsyncChannel::Pending::answer(std::shared_ptr<Pending> pending) {
  asio::error_code ended;  // how a timer that never ends is ended
  while (!pending->result_) {
    co_await pending->ended_.async_wait(asio::redirect_error(asio::use_awaitable, ended));
  }
  co_return std::move(*pending->result_);
}

void AsyncChannel::Pending::end(Result<Answer> result) {
  result_ = std::move(result);
  ended_.cancel();
}

std::shared_ptr<AsyncChannel::Pending> AsyncChannel::start(client::Request request,
                                                           Payload payload) {
  auto pending = std::make_shared<Pending>(io_);
  if (stopped_) {
    pending->end(fail(*stopped_));
    return pending;
  }
  const auto id = ++last_id_;
  unsent_.push_back({.id = id,
                     .header = Payload::take(codec::encode(id, request)),
                     .payload = std::move(payload),
                     .pending = pending,
                     .since = Clock::now()});
  send_waiting();
  if (!std::exchange(clock_watched_, true)) {
    asio::co_spawn(io_, watch_clock(shared_from_this()), asio::detached);
  }
  return pending;
}

/// What stays unsent for want of a connection goes when there is one, or fails by the clock.
void AsyncChannel::send_waiting() {
  while (connected_ && !unsent_.empty() && sent_.size() < requests_sent_max) {
    auto& next = unsent_.front();
    const auto bytes = next.payload.size();
    if (!sent_.empty() && sent_bytes_ + bytes > bytes_sent_max) return;
    const Payload frames[] = {next.header, next.payload};
    if (socket_->send(frames) != Sent::sent) return;
    if (sent_.empty()) heard_ = Clock::now();
    sent_.emplace(next.id, SentRequest{bytes, std::move(next.pending)});
    sent_bytes_ += bytes;
    unsent_.pop_front();
  }
}

Task<void> AsyncChannel::read_replies(std::shared_ptr<AsyncChannel> self) {
  const auto socket = self->socket_;
  for (;;) {
    auto inbound = co_await socket->receive();
    if (!inbound) co_return;
    self->take_reply(*inbound);
    self->send_waiting();
  }
}

/// A reply that nobody waits for is dropped; one that cannot be read may be anybody's.
void AsyncChannel::take_reply(const Inbound& inbound) {
  heard_ = Clock::now();
  auto decoded = codec::decode_client_reply(inbound.frames.front().view());
  if (!decoded) {
    return fail_sent(
        {Errc::invalid, "the node's answer is not understood (is it of another version?): " +
                            decoded.error().error.what});
  }
  const auto found = sent_.find(decoded->id);
  if (found == sent_.end()) return;
  const auto pending = std::move(found->second.pending);
  sent_bytes_ -= found->second.bytes;
  sent_.erase(found);
  auto& reply = decoded->message;
  if (!reply) return pending->end(fail(std::move(reply.error())));
  auto payload = inbound.frames.size() > 1 ? inbound.frames[1] : Payload();
  pending->end(Answer{std::move(*reply), std::move(payload)});
}

void AsyncChannel::fail_sent(const Error& error) {
  sent_bytes_ = 0;
  for (auto& [id, sent] : std::exchange(sent_, {}))
    sent.pending->end(fail(error));
}

void AsyncChannel::fail_unsent(const Error& error) {
  for (auto& unsent : std::exchange(unsent_, {}))
    unsent.pending->end(fail(error));
}

// ------------------------------------------------------------------------------------ connection

AsyncChannel::AsyncChannel(asio::io_context& io, std::filesystem::path folder,
                           ClientOptions options, std::shared_ptr<Socket> socket,
                           std::shared_ptr<Socket> monitor)
    : io_(io),
      folder_(std::move(folder)),
      options_(bounded(std::move(options))),
      socket_(std::move(socket)),
      monitor_(std::move(monitor)),
      changed_(io, asio::steady_timer::time_point::max()),
      clock_(io) {}

Task<Result<std::shared_ptr<AsyncChannel>>> AsyncChannel::open(asio::io_context& io,
                                                               BusContext& context,
                                                               std::filesystem::path folder,
                                                               ClientOptions options) {
  if (auto there = check_client_socket(folder); !there) co_return fail(std::move(there.error()));
  auto socket = Socket::open(io, context, zmq::socket_type::dealer);
  if (!socket) co_return fail(std::move(socket.error()));
  auto monitor = Socket::open(io, context, zmq::socket_type::pair);
  if (!monitor) co_return fail(std::move(monitor.error()));
  auto channel =
      std::make_shared<AsyncChannel>(io, folder, options, std::move(*socket), std::move(*monitor));
  auto connecting = channel->connect();
  channel->changed_.expires_after(channel->options_.connect_timeout);
  while (connecting && !channel->connected_ && !channel->refused_ &&
         channel->changed_.expiry() > Clock::now()) {
    asio::error_code woken;
    co_await channel->changed_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
  }
  if (connecting && channel->connected_) co_return channel;
  const auto error = !connecting         ? connecting.error()
                     : channel->refused_ ? no_node_on(folder)
                                         : hung(folder);
  channel->stop(error);
  co_return fail(error);
}

Status AsyncChannel::connect() {
  try {
    auto& dealer = socket_->zmq();
    dealer.set(zmq::sockopt::linger, 0);
    dealer.set(zmq::sockopt::immediate, true);
    dealer.set(zmq::sockopt::maxmsgsize, client_frame_bytes_max);
    watch_into(monitor_->zmq(), dealer);
    dealer.connect(endpoint_of(*client_socket_path(folder_)));
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, std::string("cannot connect to the node: ") + error.what());
  }
  asio::co_spawn(io_, read_replies(shared_from_this()), asio::detached);
  asio::co_spawn(io_, watch_connection(shared_from_this()), asio::detached);
  return {};
}

Task<void> AsyncChannel::watch_connection(std::shared_ptr<AsyncChannel> self) {
  const auto monitor = self->monitor_;
  for (;;) {
    auto event = co_await monitor->receive();
    if (!event) co_return;
    self->on_connection_event(*event);
  }
}

/// The first frame begins with the event's 16-bit number. A connection that ends takes the requests
/// with it that went out by it.
void AsyncChannel::on_connection_event(const Inbound& event) {
  const auto view = event.frames.front().view();
  std::uint16_t kind = 0;
  if (view.size() < sizeof kind) return;
  std::memcpy(&kind, view.data(), sizeof kind);
  connected_ = kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
  refused_ = !connected_;
  if (connected_) send_waiting();
  if (kind == ZMQ_EVENT_DISCONNECTED) fail_sent(node_stopped(folder_));
  if (refused_ && kind != ZMQ_EVENT_DISCONNECTED) fail_unsent(no_node_on(folder_));
  changed_.cancel();
}

/// Runs while there is anything to wait for.
Task<void> AsyncChannel::watch_clock(std::shared_ptr<AsyncChannel> self) {
  asio::error_code stopped;
  while (!self->stopped_ && !(self->unsent_.empty() && self->sent_.empty())) {
    self->clock_.expires_after(clock_interval);
    co_await self->clock_.async_wait(asio::redirect_error(asio::use_awaitable, stopped));
    self->look_at_clock();
  }
  self->clock_watched_ = false;
}

Error AsyncChannel::said_nothing() const {
  return {Errc::timeout, "the node on " + printable(folder_.string()) + " said nothing for " +
                             std::to_string(options_.answer_timeout.count() / 1000) + " s"};
}

void AsyncChannel::look_at_clock() {
  if (stopped_) return;
  const auto now = Clock::now();
  send_waiting();
  if (!connected_ && !unsent_.empty() && now - unsent_.front().since >= options_.connect_timeout) {
    fail_unsent(hung(folder_));
  }
  // It takes nothing more, though it is connected and all that was sent has been given up.
  if (connected_ && sent_.empty() && !unsent_.empty() &&
      now - std::max(heard_, unsent_.front().since) >= options_.answer_timeout) {
    fail_unsent(said_nothing());
  }
  if (!sent_.empty() && now - heard_ >= options_.answer_timeout) {
    fail_sent(said_nothing());
  }
}

void AsyncChannel::stop(const Error& error) {
  if (stopped_) return;
  stopped_ = error;
  fail_sent(error);
  fail_unsent(error);
  clock_.cancel();
  socket_->close();
  monitor_->close();
}

}  // namespace zerodb
