#pragma once
// A ZeroMQ socket as coroutines see it: receive() waits, send() never does. Made, used and closed
// on the io_context's thread. One coroutine receives; one at most waits for room to send.

#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <asio/awaitable.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <zmq.hpp>

#include "bus/context.hpp"
#include "store/buffer.hpp"

namespace zerodb {

/// What arrived in one piece. Frames share libzmq's memory, nothing is copied.
struct Inbound {
  std::vector<Payload> frames;  ///< the first frames_max of them; more cannot be right anywhere
  std::string user_id;          ///< what ZAP said of the sender, read off the last frame
  int descriptor = -1;          ///< of the connection it came by, as socket monitors name it
};

/// Closes a connection, as if its other end had. What has arrived is still received.
void hang_up(int descriptor);

enum class Sent {
  sent,
  full,         ///< no room, or nobody connected: nothing was sent, try again when writable()
  unreachable,  ///< a ROUTER's addressee is gone, or the socket is closed
};

class Socket : public std::enable_shared_from_this<Socket> {
 public:
  static constexpr std::size_t frames_max = 8;

  /// Neither bound nor connected; options are set through zmq(). `io` when the limit of sockets
  /// or file descriptors is reached.
  static Result<std::shared_ptr<Socket>> open(asio::io_context& io, BusContext& context,
                                              zmq::socket_type type);

  Socket(asio::io_context& io, zmq::socket_t socket);
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket();

  zmq::socket_t& zmq() { return socket_; }

  /// The next message; nothing once closed. Gives way to other coroutines now and then. Whoever
  /// awaits it holds the socket shared.
  asio::awaitable<std::optional<Inbound>> receive();

  /// The next message if one is there, without waiting.
  std::optional<Inbound> try_receive();

  /// All frames or nothing, without waiting. Large frames are shared with libzmq's threads until
  /// sent, small ones copied.
  Sent send(std::span<const Payload> frames);

  /// Waits until send() may succeed; false once closed.
  asio::awaitable<bool> writable();

  /// Ends the waits. Messages not sent yet are dropped.
  void close();
  bool closed() const { return closed_; }

 private:
  int events();
  void wake_others();
  void wake_waiting();
  asio::awaitable<void> wait(bool& waiting);

  zmq::socket_t socket_;
  asio::posix::stream_descriptor descriptor_;  ///< ZMQ_FD: libzmq's to close, not ours
  bool closed_ = false;
  bool reader_waits_ = false;
  bool writer_waits_ = false;
  bool will_look_ = false;  ///< wake_waiting() is in the queue
  unsigned received_in_a_row_ = 0;
};

}  // namespace zerodb
