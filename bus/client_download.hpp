#pragma once
// One get of a client: small objects in one round trip, others as a window of chunks asked for
// ahead and handed on in order. One over the network goes on over another connection when its own
// is lost. Inside of BusClient; one thread at a time.

#include <deque>
#include <optional>

#include "bus/client_reconnection.hpp"

namespace zerodb {

class ClientDownload {
 public:
  using Request = std::variant<client::Get, client::GetShared>;

  ClientDownload(ClientChannel& channel, Request request, const ByteSink& sink)
      : channel_(channel), request_(std::move(request)), sink_(sink) {}

  Result<client::ObjectInfo> run();

 private:
  struct Part {
    std::uint64_t id = 0;
    std::uint32_t length = 0;
    bool arrived = false;
    zmq::message_t payload;
  };

  using Opened = Result<ClientChannel::Typed<client::ObjectInfo>>;
  Opened ask();
  Result<client::ObjectInfo> open();
  Status pull();
  Status ask_ahead();
  Status take_answer();
  Status deliver();
  Status give(const zmq::message_t& payload);
  Status go_on_after(Error error);
  Status open_again();
  void close();

  ClientChannel& channel_;
  Request request_;
  const ByteSink& sink_;
  client::ObjectInfo info_;
  std::uint64_t chunk_bytes_ = 0;
  std::uint64_t asked_ = 0;      ///< offset of the next part to ask for
  std::uint64_t delivered_ = 0;  ///< offset of the next byte for the sink
  std::uint64_t end_ = 0;
  std::optional<std::uint64_t> opened_at_;  ///< delivered_ when the download was last opened again
  std::deque<Part> window_;
  ClientReconnection reconnection_{channel_};
};

}  // namespace zerodb
