#include "bus/client_channel.hpp"

#include <array>
#include <cerrno>
#include <cstring>

#include "bus/codec.hpp"
#include "bus/uninterrupted.hpp"

namespace zerodb {

namespace {

constexpr const char* monitor_address = "inproc://client-monitor";
constexpr int session_events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED |
                               ZMQ_EVENT_CLOSED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;

using Clock = std::chrono::steady_clock;

std::chrono::milliseconds until(Clock::time_point deadline) {
  return std::max(std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()),
                  std::chrono::milliseconds{0});
}

pollfd news_of(zmq::socket_t& socket) {
  return {.fd = socket.get(zmq::sockopt::fd), .events = POLLIN, .revents = 0};
}

bool receive_from(zmq::socket_t& socket, zmq::message_t& message,
                  zmq::recv_flags flags = zmq::recv_flags::none) {
  return uninterrupted([&] { return socket.recv(message, flags).has_value(); });
}

bool send_to(zmq::socket_t& socket, zmq::message_t& message, zmq::send_flags flags) {
  return uninterrupted([&] { return socket.send(message, flags).has_value(); });
}

Error of_zmq(std::string_view doing, const zmq::error_t& error) {
  return {Errc::io, std::string(doing) + ": " + error.what()};
}

}  // namespace

ClientChannel::ClientChannel(ClientTarget target, ClientOptions options)
    : target_(std::move(target)),
      options_(bounded(std::move(options))),
      context_(1),
      socket_(context_, zmq::socket_type::dealer),
      monitor_(context_, zmq::socket_type::pair) {}

Result<std::unique_ptr<ClientChannel>> ClientChannel::open(ClientTarget target,
                                                           ClientOptions options) {
  if (auto there = target.check(); !there) return fail(std::move(there.error()));
  try {
    auto channel = std::unique_ptr<ClientChannel>(new ClientChannel(std::move(target), options));
    if (auto connected = channel->connect(); !connected) return fail(std::move(connected.error()));
    return channel;
  } catch (const zmq::error_t& error) {
    return fail(of_zmq("cannot start ZeroMQ", error));
  }
}

Status ClientChannel::connect() {
  socket_.set(zmq::sockopt::immediate, true);
  socket_.set(zmq::sockopt::sndtimeo, static_cast<int>(options_.connect_timeout.count()));
  monitor_.set(zmq::sockopt::linger, 0);
  if (zmq_socket_monitor(socket_.handle(), monitor_address, session_events) != 0) {
    throw zmq::error_t();
  }
  monitor_.connect(monitor_address);
  if (auto connecting = target_.connect(socket_); !connecting) return connecting;
  return wait_for_node();
}

Status ClientChannel::wait_for_node() {
  const auto deadline = Clock::now() + options_.connect_timeout;
  failed_ = false;
  broken_off_ = false;
  for (read_monitor(); !connected_; read_monitor()) {
    if (refused_) return fail(target_.refused());
    if (broken_off_) return fail(target_.another_node());
    if (failed_) return fail(target_.not_there());
    const auto left = until(deadline);
    if (left.count() == 0) return fail(target_.silent_at_first());
    auto news = news_of(monitor_);
    if (auto waited = wait({&news, 1}, left); !waited) return waited;
  }
  return {};
}

/// libzmq's descriptors say that there may be something to read, once: only whoever has read until
/// nothing was left may wait on them. Theirs, unlike zmq_poll(), takes one system call, not eight.
Status ClientChannel::wait(std::span<pollfd> descriptors, std::chrono::milliseconds timeout) {
  if (poll(descriptors.data(), descriptors.size(), static_cast<int>(timeout.count())) < 0 &&
      errno != EINTR) {
    return fail(Errc::io, std::string("cannot wait for the node: ") + std::strerror(errno));
  }
  return {};
}

/// read_monitor(), if anything happened.
void ClientChannel::look_at_monitor() {
  auto news = news_of(monitor_);
  if (poll(&news, 1, 0) > 0) read_monitor();
}

void ClientChannel::read_monitor() {
  for (;;) {
    zmq::message_t event;
    zmq::message_t address;
    if (!receive_from(monitor_, event, zmq::recv_flags::dontwait)) return;
    receive_from(monitor_, address, zmq::recv_flags::dontwait);
    std::uint16_t kind = 0;
    std::memcpy(&kind, event.data(), std::min(sizeof kind, event.size()));
    connected_ = kind == ZMQ_EVENT_HANDSHAKE_SUCCEEDED;
    failed_ = !connected_;
    refused_ = refused_ || kind == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH;
    broken_off_ = !connected_ && (broken_off_ || kind == ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL ||
                                  kind == ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL);
    lost_ = lost_ || kind == ZMQ_EVENT_DISCONNECTED;
  }
}

Status ClientChannel::begin() {
  try {
    look_at_monitor();
    lost_ = true;
    if (!connected_) {
      if (auto back = wait_for_node(); !back) {
        lost_ = !refused_;  // then it is there, and says no
        return back;
      }
    }
    lost_ = false;
    return {};
  } catch (const zmq::error_t& error) {
    return fail(of_zmq("cannot connect to the node", error));
  }
}

Result<std::uint64_t> ClientChannel::send(const client::Request& request, zmq::message_t payload) {
  try {
    look_at_monitor();
    if (lost_) return fail(target_.stopped());
    const auto header = codec::encode(++last_id_, request);
    zmq::message_t first(header.data(), header.size());
    if (!send_to(socket_, first, zmq::send_flags::sndmore)) return fail(target_.stopped());
    if (!send_to(socket_, payload, zmq::send_flags::none)) return fail(target_.stopped());
    return last_id_;
  } catch (const zmq::error_t& error) {
    return fail(of_zmq("cannot send to the node", error));
  }
}

/// True if a whole reply was waiting.
Result<bool> ClientChannel::receive_now(Answer& answer) {
  zmq::message_t header;
  if (!receive_from(socket_, header, zmq::recv_flags::dontwait)) return false;
  bool more = header.more();
  if (more) {
    receive_from(socket_, answer.payload);
    more = answer.payload.more();
  }
  for (zmq::message_t rest; more; more = rest.more())
    receive_from(socket_, rest);
  auto decoded = codec::decode_client_reply({header.data<std::uint8_t>(), header.size()});
  if (!decoded) {
    return fail("the node's answer is not understood (is it of another version?)",
                std::move(decoded.error().error));
  }
  answer.id = decoded->id;
  answer.reply = std::move(decoded->message);
  return true;
}

Result<ClientChannel::Answer> ClientChannel::receive() {
  const auto deadline = Clock::now() + options_.answer_timeout;
  try {
    for (;;) {
      Answer answer{0, fail(Errc::invalid, ""), {}};
      const auto received = receive_now(answer);
      if (!received) return fail(received.error());
      if (*received) return answer;
      if (lost_) return fail(target_.stopped());
      const auto left = until(deadline);
      if (left.count() == 0) {
        return fail(target_.said_nothing(
            std::chrono::duration_cast<std::chrono::seconds>(options_.answer_timeout)));
      }
      std::array news{news_of(socket_), news_of(monitor_)};
      if (auto waited = wait(news, left); !waited) return fail(std::move(waited.error()));
      if (news[1].revents != 0) read_monitor();
    }
  } catch (const zmq::error_t& error) {
    return fail(of_zmq("cannot receive from the node", error));
  }
}

Result<ClientChannel::Answer> ClientChannel::receive_for(std::uint64_t id) {
  for (;;) {
    auto answer = receive();
    if (!answer || answer->id == id) return answer;
  }
}

}  // namespace zerodb
