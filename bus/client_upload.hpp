#pragma once
// One put of a client: small objects in one round trip, others as a stream of chunks with as many
// bytes unanswered as the node gave credit for. Inside of BusClient; one thread at a time.

#include <map>

#include "bus/client_channel.hpp"

namespace zerodb {

class ClientUpload {
 public:
  ClientUpload(ClientChannel& channel, const ByteSource& source, client::Put request)
      : channel_(channel), source_(source), request_(std::move(request)) {}

  /// Puts all of the source; on an error nothing of it stays with the node.
  Result<client::Stored> run();

 private:
  Result<std::size_t> fill(MutableBytes to);
  Result<std::size_t> read_source(MutableBytes to);
  std::size_t room(std::size_t bytes) const;
  Result<client::Stored> put_small(zmq::message_t payload);
  Result<client::Stored> put_large();
  Status open();
  Status send_chunks();
  Result<bool> send_chunk();
  Status send_data(zmq::message_t payload);
  Status keep_alive();
  Status take_answer();
  void abort();

  ClientChannel& channel_;
  const ByteSource& source_;
  client::Put request_;
  Bytes head_;  ///< read before it was clear whether the object is small
  std::size_t head_used_ = 0;
  std::uint64_t read_ = 0;  ///< bytes taken from the source
  client::Upload upload_;
  bool opened_ = false;
  std::uint64_t sent_ = 0;
  std::uint64_t unanswered_bytes_ = 0;
  std::map<std::uint64_t, std::size_t> unanswered_;  ///< request id: bytes
};

}  // namespace zerodb
