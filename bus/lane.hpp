#pragma once
// One DEALER to one peer, with the messages that wait for room or for the connection. One thread:
// the io_context's.

#include <deque>

#include "bus/handshake.hpp"
#include "bus/request_table.hpp"
#include "bus/socket.hpp"
#include "store/keys.hpp"

namespace zerodb {

struct LaneOptions {
  NodeId server;  ///< whose secret the other end must hold
  std::string endpoint;
  LaneNumber number = 0;
  int messages_max = 0;  ///< that libzmq queues before we do
  bool watched = false;  ///< so that news() can tell
};

struct LaneNews {
  bool refused = false;      ///< the peer turned this node's key away
  bool reconnected = false;  ///< an earlier connection ended, and what was sent on it is lost
};

class Lane : public std::enable_shared_from_this<Lane> {
 public:
  static Result<std::shared_ptr<Lane>> open(asio::io_context& io, BusContext& context,
                                            const CurvePair& keys, const LaneOptions& options);
  Lane(asio::io_context& io, std::shared_ptr<Socket> socket, LaneNumber number);

  LaneNumber number() const { return number_; }

  /// Goes out at once or as soon as it can.
  void send(std::uint64_t id, Payload header, Payload payload);

  /// Request `id` is over: if it still waits to be sent, it is not sent.
  void drop(std::uint64_t id);

  /// Requests sent and not over.
  std::size_t in_flight() const { return in_flight_; }

  /// What befell the connection since the last time this was asked.
  LaneNews news();

  asio::awaitable<std::optional<Inbound>> receive() { return socket_->receive(); }
  void close();

 private:
  struct Parked {
    std::uint64_t id = 0;
    std::array<Payload, 2> frames;
  };
  static asio::awaitable<void> flush(std::shared_ptr<Lane> self);

  asio::io_context& io_;
  std::shared_ptr<Socket> socket_;
  std::optional<HandshakeWatch> watch_;  ///< goes before the socket
  bool connected_before_ = false;        ///< as far as events were looked at
  LaneNumber number_;
  std::deque<Parked> parked_;  ///< bounded by the peer's ByteBudget
  bool flushing_ = false;
  std::size_t in_flight_ = 0;
};

}  // namespace zerodb
