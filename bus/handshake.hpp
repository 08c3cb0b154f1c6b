#pragma once
// Watches the handshakes of one socket, to tell a refusal from silence. Belongs to the thread of
// the socket watched, and is dropped before the socket.

#include <optional>
#include <zmq.hpp>

#include "store/result.hpp"

namespace zerodb {

enum class Handshake {
  accepted,
  refused,  ///< the other side's ZAP handler knows the key and says no
  failed,   ///< broken off without a reason, as with a wrong server key
  cut,      ///< there is no connection, or no longer
};

class HandshakeWatch {
 public:
  static Result<HandshakeWatch> start(zmq::context_t& context, zmq::socket_t& watched);

  HandshakeWatch(HandshakeWatch&&) = default;
  ~HandshakeWatch();

  /// What happened next, without waiting.
  std::optional<Handshake> next();

  /// Readable when next() has something; for zmq::poll.
  zmq::socket_t& socket() { return events_; }

 private:
  HandshakeWatch(zmq::socket_t events, zmq::socket_t& watched);
  zmq::socket_t events_;
  zmq::socket_t* watched_;
};

}  // namespace zerodb
