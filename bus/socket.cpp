#include "bus/socket.hpp"

#include <sys/socket.h>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cstring>

#include "bus/uninterrupted.hpp"

namespace zerodb {
namespace {

constexpr unsigned receives_in_a_row_max = 32;
constexpr std::size_t copied_bytes_max = 1024;

/// Runs on an I/O thread of libzmq when the frame was sent or dropped.
void release_payload(void*, void* payload) {
  delete static_cast<Payload*>(payload);
}

zmq::message_t to_message(const Payload& payload) {
  const auto view = payload.view();
  if (view.size() <= copied_bytes_max) return {view.data(), view.size()};
  auto keep = std::make_unique<Payload>(payload);
  // libzmq only reads what it sends; its interface just does not say so.
  auto* data = const_cast<std::uint8_t*>(view.data());
  zmq::message_t message(data, view.size(), release_payload, keep.get());
  static_cast<void>(keep.release());
  return message;
}

Payload to_payload(zmq::message_t message) {
  auto kept = std::make_shared<const zmq::message_t>(std::move(message));
  const ByteView view(static_cast<const std::uint8_t*>(kept->data()), kept->size());
  return {std::move(kept), view};
}

std::string user_id_of(zmq::message_t& message) {
  const char* user_id = zmq_msg_gets(message.handle(), "User-Id");
  return user_id == nullptr ? std::string() : std::string(user_id);
}

int descriptor_of(zmq::socket_t& socket) {
  return socket.get(zmq::sockopt::fd);
}

}  // namespace

/// libzmq cannot be asked to, so its descriptor is shut down under it. In a moment in which it has
/// closed that itself, the number may be a newer connection's, which is then made once more; what
/// is no connection, such as a socket that listens, is left alone.
void hang_up(int descriptor) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (getpeername(descriptor, reinterpret_cast<sockaddr*>(&peer), &size) != 0) return;
  static_cast<void>(shutdown(descriptor, SHUT_RDWR));
}

Result<std::shared_ptr<Socket>> Socket::open(asio::io_context& io, BusContext& context,
                                             zmq::socket_type type) {
  try {
    return std::make_shared<Socket>(io, zmq::socket_t(context.zmq(), type));
  } catch (const std::exception& error) {
    return fail(Errc::io, std::string("cannot make a socket: ") + error.what() +
                              "; raise the limit of open files (ulimit -n)");
  }
}

Socket::Socket(asio::io_context& io, zmq::socket_t socket)
    : socket_(std::move(socket)), descriptor_(io, descriptor_of(socket_)) {}

Socket::~Socket() {
  close();
}

void Socket::close() {
  if (std::exchange(closed_, true)) return;
  descriptor_.release();
  socket_.close();
}

asio::awaitable<std::optional<Inbound>> Socket::receive() {
  if (++received_in_a_row_ > receives_in_a_row_max) {
    received_in_a_row_ = 0;
    co_await asio::post(descriptor_.get_executor(), asio::use_awaitable);
  }
  while (!closed_) {
    auto message = try_receive();
    if (message) co_return message;
    received_in_a_row_ = 0;
    co_await wait(reader_waits_);
  }
  co_return std::nullopt;
}

std::optional<Inbound> Socket::try_receive() {
  if (closed_) return {};
  Inbound inbound;
  try {
    for (bool more = true; more;) {
      zmq::message_t message;
      if (!uninterrupted([&] { return socket_.recv(message, zmq::recv_flags::dontwait); })) break;
      more = message.more();
      if (!more) inbound.user_id = user_id_of(message);
      if (!more) inbound.descriptor = zmq_msg_get(message.handle(), ZMQ_SRCFD);
      if (inbound.frames.size() < frames_max)
        inbound.frames.push_back(to_payload(std::move(message)));
    }
  } catch (const zmq::error_t&) {
    return {};  // the context is shutting down; close() follows
  }
  wake_others();
  if (inbound.frames.empty()) return {};
  return inbound;
}

Sent Socket::send(std::span<const Payload> frames) {
  if (closed_) return Sent::unreachable;
  auto outcome = Sent::sent;
  try {
    for (std::size_t i = 0; i < frames.size() && outcome == Sent::sent; ++i) {
      auto message = to_message(frames[i]);
      const bool more = i + 1 < frames.size();
      const auto flags =
          more ? zmq::send_flags::dontwait | zmq::send_flags::sndmore : zmq::send_flags::dontwait;
      if (!uninterrupted([&] { return socket_.send(message, flags); })) outcome = Sent::full;
    }
  } catch (const zmq::error_t&) {
    outcome = Sent::unreachable;
  }
  wake_others();
  return outcome;
}

asio::awaitable<bool> Socket::writable() {
  while (!closed_) {
    if ((events() & ZMQ_POLLOUT) != 0) {
      wake_others();
      co_return true;
    }
    wake_others();
    co_await wait(writer_waits_);
  }
  co_return false;
}

int Socket::events() {
  try {
    return uninterrupted([this] { return socket_.get(zmq::sockopt::events); });
  } catch (const zmq::error_t&) {
    return 0;  // the context is shutting down; close() follows
  }
}

/// ZMQ_FD tells of a change once, and any call on the socket may be the one that takes notice of
/// it. So after calls, those who wait on the descriptor are told to look again. To ask libzmq costs
/// two system calls: once for all calls until this thread's queue has come round.
void Socket::wake_others() {
  if (will_look_ || (!reader_waits_ && !writer_waits_)) return;
  will_look_ = true;
  asio::post(descriptor_.get_executor(), [weak = weak_from_this()] {
    const auto self = weak.lock();
    if (!self) return;
    self->will_look_ = false;
    if (!self->closed_) self->wake_waiting();
  });
}

void Socket::wake_waiting() {
  if (!reader_waits_ && !writer_waits_) return;
  const int ready = events();
  const bool reader = reader_waits_ && (ready & ZMQ_POLLIN) != 0;
  const bool writer = writer_waits_ && (ready & ZMQ_POLLOUT) != 0;
  if (reader || writer) descriptor_.cancel();
}

asio::awaitable<void> Socket::wait(bool& waiting) {
  waiting = true;
  asio::error_code woken;  // readable, cancelled or closed: the caller looks for itself
  co_await descriptor_.async_wait(asio::posix::stream_descriptor::wait_read,
                                  asio::redirect_error(asio::use_awaitable, woken));
  waiting = false;
}

}  // namespace zerodb
