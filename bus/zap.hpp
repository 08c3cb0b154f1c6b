#pragma once
// Who gets through a CURVE handshake: the ZAP handler (ZeroMQ RFC 27) of one context, and the
// proof that it works. Runs on the io_context's thread. One handler a context.

#include <functional>
#include <memory>

#include "bus/socket.hpp"
#include "store/keys.hpp"

namespace zerodb {

enum class Verdict {
  allow,
  refuse,  ///< the peer is told so and gives up
  later,   ///< the peer is cut off and tries again by itself
};

/// Decides by the domain served (curve.hpp) and the key the peer has proved to hold.
using Authenticator = std::function<Verdict(std::string_view domain, const NodeId& key)>;

class ZapHandler : public std::enable_shared_from_this<ZapHandler> {
 public:
  /// Start it before any socket of the context binds. `io` if the context has a handler already.
  static Result<std::shared_ptr<ZapHandler>> start(asio::io_context& io, BusContext& context,
                                                   Authenticator authenticator);

  ZapHandler(std::shared_ptr<Socket> socket, Authenticator authenticator);

  /// Answers what is asked, for as long as the handler is open.
  void run(asio::io_context& io);

  /// Answers what has been asked so far, without waiting.
  void answer_pending();

  void close() { socket_->close(); }
  zmq::socket_t& zmq() { return socket_->zmq(); }

 private:
  static asio::awaitable<void> serve(std::shared_ptr<ZapHandler> self);
  void answer(const Inbound& request);

  std::shared_ptr<Socket> socket_;
  Authenticator authenticator_;
};

/// Sees that `server`, set up with serve_curve() and not bound yet, refuses a key that nobody
/// knows: `denied` unless the refusal was seen. Answers for `zap`, which is not running yet.
Status prove_refusal(BusContext& context, ZapHandler& zap, zmq::socket_t& server,
                     const NodeId& server_key);

}  // namespace zerodb
