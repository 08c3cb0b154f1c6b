#include "bus/connection_watch.hpp"

#include <asio/co_spawn.hpp>
#include <atomic>
#include <cstring>

#include "bus/or_terminate.hpp"

namespace zerodb {

Result<std::shared_ptr<ConnectionWatch>> ConnectionWatch::start(asio::io_context& io,
                                                                BusContext& context,
                                                                std::shared_ptr<Socket> watched) {
  static std::atomic<unsigned> count{0};
  auto monitor = Socket::open(io, context, zmq::socket_type::pair);
  if (!monitor) return fail(std::move(monitor.error()));
  const auto address = "inproc://connections-" + std::to_string(++count);
  try {
    constexpr int events = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED;
    if (zmq_socket_monitor(watched->zmq().handle(), address.c_str(), events) != 0) {
      throw zmq::error_t();
    }
    auto& socket = (*monitor)->zmq();
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::rcvhwm, 0);  // libzmq drops events at the mark, and each matters
    socket.connect(address);
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, std::string("connections cannot be watched: ") + error.what());
  }
  return std::make_shared<ConnectionWatch>(std::move(watched), std::move(*monitor));
}

void ConnectionWatch::run(asio::io_context& io, OnEnd on_end) {
  on_end_ = std::move(on_end);
  asio::co_spawn(io, follow(shared_from_this()), or_terminate);
}

asio::awaitable<void> ConnectionWatch::follow(std::shared_ptr<ConnectionWatch> self) {
  const auto monitor = self->monitor_;
  while (auto event = co_await monitor->receive())
    self->on_event(*event);
}

void ConnectionWatch::catch_up() {
  while (auto event = monitor_->try_receive())
    on_event(*event);
}

/// The first frame is a 16-bit event and a 32-bit value, here the connection's descriptor.
void ConnectionWatch::on_event(const Inbound& event) {
  const auto view = event.frames.front().view();
  std::uint16_t kind = 0;
  std::int32_t descriptor = -1;
  if (view.size() != sizeof kind + sizeof descriptor) return;
  std::memcpy(&kind, view.data(), sizeof kind);
  std::memcpy(&descriptor, view.data() + sizeof kind, sizeof descriptor);
  if (descriptor < 0) return;
  if (kind == ZMQ_EVENT_ACCEPTED) descriptors_.insert(descriptor);
  if (kind != ZMQ_EVENT_DISCONNECTED) return;
  descriptors_.erase(descriptor);
  if (on_end_) on_end_(descriptor);
}

void ConnectionWatch::hang_up(int descriptor) {
  catch_up();
  if (descriptors_.contains(descriptor)) zerodb::hang_up(descriptor);
}

void ConnectionWatch::hang_up_all() {
  catch_up();
  for (const auto descriptor : descriptors_)
    zerodb::hang_up(descriptor);
}

void ConnectionWatch::close() {
  on_end_ = nullptr;
  // An event that nobody takes would hold up libzmq's thread.
  if (!watched_->closed()) zmq_socket_monitor(watched_->zmq().handle(), nullptr, 0);
  monitor_->close();
}

}  // namespace zerodb
