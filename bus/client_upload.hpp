#pragma once
// One put of a client: small objects in one round trip, others as a stream of chunks with as many
// bytes unanswered as the node gave credit for. A stream over the network goes on over another
// connection when its own is lost. Inside of BusClient; one thread at a time.

#include <deque>

#include "bus/client_reconnection.hpp"

namespace zerodb {

class ClientUpload {
 public:
  ClientUpload(ClientChannel& channel, const ByteSource& source, client::Put request)
      : channel_(channel), source_(source), request_(std::move(request)) {}

  /// Puts all of the source; on an error nothing of it stays with the node, unless it is lost.
  Result<client::Stored> run();

 private:
  /// Bytes of the object that the node has not answered yet.
  struct Piece {
    std::uint64_t offset = 0;
    std::size_t size = 0;
    zmq::message_t payload;     ///< kept when it was sent, if it may have to be sent again
    std::uint64_t request = 0;  ///< that took it along; 0: not sent, or not on this connection
  };

  Result<std::size_t> fill(MutableBytes to);
  Result<std::size_t> read_source(MutableBytes to);
  std::size_t room(std::size_t bytes) const;
  template <class Reply>
  Result<Reply> put(zmq::message_t payload);
  Result<client::Stored> put_small(zmq::message_t payload);
  Result<client::Stored> put_large();
  Status open();
  Status send_all();
  Result<bool> read_chunk();
  void add(zmq::message_t payload);
  Status flush();
  Status drain();
  Status send(Piece& piece);
  Result<client::Stored> end();
  Status keep_alive();
  Status keep_alive_if_silent();
  Status take_answer();
  Status go_on_after(const Error& error);
  Result<client::Upload> resume();
  void abort();

  ClientChannel& channel_;
  const ByteSource& source_;
  client::Put request_;
  Bytes head_;  ///< read before it was clear whether the object is small
  std::size_t head_used_ = 0;
  std::uint64_t read_ = 0;  ///< bytes taken from the source
  client::Upload upload_;
  bool opened_ = false;
  std::uint64_t taken_ = 0;   ///< bytes of all pieces so far
  std::deque<Piece> pieces_;  ///< in order; those that were sent come first
  std::chrono::steady_clock::time_point spoke_at_ = std::chrono::steady_clock::now();
  ClientReconnection reconnection_{channel_};
};

}  // namespace zerodb
