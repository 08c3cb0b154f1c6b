#include "tests/hostile/shouting.hpp"

#include "bus/codec.hpp"
#include "bus/curve.hpp"

namespace zerodb::hostile {

RawLane::RawLane(zmq::context_t& context, const CurvePair& keys, const PeerAddress& to,
                 int receive_messages_max)
    : socket_(context, zmq::socket_type::dealer) {
  constexpr int patience_ms = 100;
  const bool ready =
      set_limits(socket_, {.send_messages_max = 1000, .receive_messages_max = receive_messages_max})
          .has_value() &&
      use_curve(socket_, keys, to.node).has_value() && connect_to(socket_, to.endpoint).has_value();
  if (!ready) throw std::runtime_error("cannot reach " + to.endpoint);
  socket_.set(zmq::sockopt::sndtimeo, patience_ms);
}

bool RawLane::send(const std::vector<std::string>& frames) {
  for (std::size_t i = 0; i < frames.size(); ++i) {
    const auto more = i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
    if (!socket_.send(zmq::buffer(frames[i]), more)) return false;
  }
  return true;
}

bool RawLane::send(std::uint64_t id, const peer::Request& request, ByteView payload) {
  return send({std::string(as_text(codec::encode(id, request))), std::string(as_text(payload))});
}

void RawLane::drain() {
  zmq::message_t frame;
  while (socket_.recv(frame, zmq::recv_flags::dontwait)) {
  }
}

void Shouting::begin(const DaemonParts& parts) {
  parts_ = &parts;
  spawn(parts.context.runtime, wait_for_addresses());
}

/// Every member's but the own.
std::vector<PeerAddress> Shouting::addresses() const {
  std::vector<PeerAddress> known;
  for (const auto& member : parts_->membership.members()) {
    if (member.address) known.push_back(*member.address);
  }
  return known;
}

Task<void> Shouting::wait_for_addresses() {
  auto others = addresses();
  while (others.empty() || others.size() != parts_->membership.members().size()) {
    co_await parts_->context.runtime.sleep(Milliseconds(100));
    others = addresses();
  }
  thread_ = std::thread([this, others = std::move(others)] { shout(others); });
}

std::vector<RawLane> Shouting::lanes(const std::vector<PeerAddress>& others,
                                     int receive_messages_max) {
  std::vector<RawLane> lanes;
  for (const auto& other : others)
    lanes.emplace_back(context_, keys(), other, receive_messages_max);
  return lanes;
}

void Shouting::silence() {
  ended_ = true;
  if (thread_.joinable()) thread_.join();
}

}  // namespace zerodb::hostile
