#include "bus/handshake.hpp"

#include <atomic>
#include <cstring>
#include <string>

namespace zerodb {
namespace {

constexpr int watched_events = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
                               ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
                               ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_CLOSED |
                               ZMQ_EVENT_DISCONNECTED;

/// Watches of one context need names of their own.
std::string next_name() {
  static std::atomic<unsigned> count{0};
  return "inproc://zerodb.handshake." + std::to_string(++count);
}

Handshake meaning_of(std::uint16_t event) {
  if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) return Handshake::accepted;
  if (event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH) return Handshake::refused;
  if (event == ZMQ_EVENT_CLOSED || event == ZMQ_EVENT_DISCONNECTED) return Handshake::cut;
  return Handshake::failed;
}

}  // namespace

Result<HandshakeWatch> HandshakeWatch::start(zmq::context_t& context, zmq::socket_t& watched) {
  try {
    const auto name = next_name();
    if (zmq_socket_monitor(watched.handle(), name.c_str(), watched_events) != 0) {
      throw zmq::error_t();
    }
    zmq::socket_t events(context, zmq::socket_type::pair);
    events.set(zmq::sockopt::linger, 0);
    events.connect(name);
    return HandshakeWatch(std::move(events), watched);
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, std::string("cannot watch a handshake: ") + error.what());
  }
}

HandshakeWatch::HandshakeWatch(zmq::socket_t events, zmq::socket_t& watched)
    : events_(std::move(events)), watched_(&watched) {}

HandshakeWatch::~HandshakeWatch() {
  if (events_) zmq_socket_monitor(watched_->handle(), nullptr, 0);
}

std::optional<Handshake> HandshakeWatch::next() {
  try {
    zmq::message_t event;
    zmq::message_t address;
    if (!events_.recv(event, zmq::recv_flags::dontwait)) return {};
    if (event.more() && !events_.recv(address, zmq::recv_flags::dontwait)) return {};
    std::uint16_t kind = 0;
    if (event.size() < sizeof kind) return {};
    std::memcpy(&kind, event.data(), sizeof kind);
    return meaning_of(kind);
  } catch (const zmq::error_t&) {
    return {};  // interrupted: whoever polls comes back
  }
}

}  // namespace zerodb
