#pragma once
// A peer that says whatever the test wants, over a CURVE DEALER of its own.

#include "bus/codec.hpp"
#include "bus/curve.hpp"
#include "bus/handshake.hpp"
#include "tests/bus/test_node.hpp"

namespace zerodb::test {

class RawPeer {
 public:
  RawPeer(const CurvePair& keys, const NodeId& server, const std::string& endpoint)
      : socket_(context_, zmq::socket_type::dealer),
        watch_(std::move(*HandshakeWatch::start(context_, socket_))) {
    REQUIRE(set_limits(socket_, {.receive_messages_max = 1}));
    REQUIRE(use_curve(socket_, keys, server));
    REQUIRE(connect_to(socket_, endpoint));
  }
  RawPeer(const CurvePair& keys, TestNode& server)
      : RawPeer(keys, server.id(), server.links().endpoint()) {}

  void send(const std::vector<std::string>& frames) {
    for (std::size_t i = 0; i < frames.size(); ++i) {
      const auto more = i + 1 < frames.size() ? zmq::send_flags::sndmore : zmq::send_flags::none;
      REQUIRE(socket_.send(zmq::buffer(frames[i]), more | zmq::send_flags::dontwait));
    }
  }
  void send(std::uint64_t id, const peer::Request& request, const std::string& payload = {}) {
    send({std::string(as_text(codec::encode(id, request))), payload});
  }

  /// The next reply, waited for while `io` runs.
  codec::Decoded<Result<peer::Reply>> receive(asio::io_context& io) {
    zmq::message_t header;
    run_until(io, [&] { return socket_.recv(header, zmq::recv_flags::dontwait).has_value(); });
    zmq::message_t payload;
    REQUIRE(header.more());
    REQUIRE(socket_.recv(payload, zmq::recv_flags::dontwait));
    auto reply = codec::decode_peer_reply(as_bytes(header.to_string_view()));
    REQUIRE(reply);
    return std::move(*reply);
  }

  /// What became of the handshake, waited for while `io` runs.
  Handshake handshake(asio::io_context& io) {
    std::optional<Handshake> event;
    run_until(io, [&] { return (event = watch_.next()).has_value(); });
    return *event;
  }

  /// The same, of one that reads its answers meanwhile: libzmq does not see the end of a
  /// connection behind answers that it has no room for.
  Handshake handshake_while_reading(asio::io_context& io) {
    std::optional<Handshake> event;
    run_until(io, [&] {
      zmq::message_t frame;
      while (socket_.recv(frame, zmq::recv_flags::dontwait)) {
      }
      return (event = watch_.next()).has_value();
    });
    return *event;
  }

 private:
  zmq::context_t context_;
  zmq::socket_t socket_;
  HandshakeWatch watch_;
};

}  // namespace zerodb::test
