#include "bus/lane.hpp"

#include <asio/co_spawn.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>

#include "bus/curve.hpp"
#include "bus/or_terminate.hpp"

namespace zerodb {

Result<std::shared_ptr<Lane>> Lane::open(asio::io_context& io, BusContext& context,
                                         const CurvePair& keys, const LaneOptions& options) {
  auto opened = Socket::open(io, context, zmq::socket_type::dealer);
  if (!opened) return fail(std::move(opened.error()));
  auto& socket = (*opened)->zmq();
  // IMMEDIATE keeps requests with us until there is a connection, so that they can be taken back.
  const int immediate = 1;
  zmq_setsockopt(socket.handle(), ZMQ_IMMEDIATE, &immediate, sizeof immediate);
  auto ready = set_limits(socket, {.send_messages_max = options.messages_max,
                                   .receive_messages_max = options.messages_max});
  if (ready) ready = use_curve(socket, keys, options.server);
  if (!ready) return fail(std::move(ready.error()));
  auto lane = std::make_shared<Lane>(io, std::move(*opened), options.number);
  if (options.watched) {
    auto watch = HandshakeWatch::start(context.zmq(), socket);
    if (!watch) return fail(std::move(watch.error()));
    lane->watch_.emplace(std::move(*watch));
  }
  if (ready = connect_to(socket, options.endpoint); !ready) return fail(std::move(ready.error()));
  return lane;
}

Lane::Lane(asio::io_context& io, std::shared_ptr<Socket> socket, LaneNumber number)
    : io_(io), socket_(std::move(socket)), number_(number) {}

void Lane::send(std::uint64_t id, Payload header, Payload payload) {
  ++in_flight_;
  Parked message{id, {std::move(header), std::move(payload)}};
  if (parked_.empty() && socket_->send(message.frames) != Sent::full) return;
  parked_.push_back(std::move(message));
  if (std::exchange(flushing_, true)) return;
  asio::co_spawn(io_, flush(shared_from_this()), or_terminate);
}

asio::awaitable<void> Lane::flush(std::shared_ptr<Lane> self) {
  while (!self->parked_.empty()) {
    const bool open = co_await self->socket_->writable();
    if (!open) break;
    // Whatever waited may have been dropped meanwhile.
    while (!self->parked_.empty() &&
           self->socket_->send(self->parked_.front().frames) != Sent::full) {
      self->parked_.pop_front();
    }
    co_await asio::post(self->io_, asio::use_awaitable);
  }
  self->flushing_ = false;
}

void Lane::drop(std::uint64_t id) {
  --in_flight_;
  std::erase_if(parked_, [id](const Parked& message) { return message.id == id; });
}

LaneNews Lane::news() {
  LaneNews news;
  while (watch_) {
    const auto happened = watch_->next();
    if (!happened) break;
    news.refused = news.refused || *happened == Handshake::refused;
    if (*happened != Handshake::accepted) continue;
    news.reconnected = news.reconnected || connected_before_;
    connected_before_ = true;
  }
  return news;
}

void Lane::close() {
  watch_.reset();
  socket_->close();
  parked_.clear();
}

}  // namespace zerodb
