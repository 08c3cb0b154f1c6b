#pragma once
// The client's end of the connection to its node: requests out, replies in, and a watch on whether
// the node is still there. Inside of BusClient; one thread at a time.

#include <poll.h>

#include <memory>
#include <span>
#include <string>

#include <zmq.hpp>

#include "bus/client.hpp"
#include "bus/client_target.hpp"
#include "bus/expect_reply.hpp"

namespace zerodb {

class ClientChannel {
 public:
  /// The reply to one request.
  struct Answer {
    std::uint64_t id = 0;
    Result<client::Reply> reply;
    zmq::message_t payload;
  };

  template <class Reply>
  struct Typed {
    Reply message;
    zmq::message_t payload;
  };

  static Result<std::unique_ptr<ClientChannel>> open(ClientTarget target, ClientOptions options);

  /// Over a network, where a connection may be lost while both its ends live on.
  bool is_remote() const { return target_.is_remote(); }

  /// To be called before the first request of an operation: the node is there, perhaps again.
  Status begin();

  /// True from when the node is found gone until it is found back.
  bool lost() const { return lost_; }

  /// Lets whoever asked for it know that a transfer was interrupted.
  void tell_of_interruption() const {
    if (options_.on_interruption) options_.on_interruption();
  }

  /// Hands a request over to be sent; answers its id.
  Result<std::uint64_t> send(const client::Request& request, zmq::message_t payload = {});

  /// The next reply, to whichever request. An error here is of the connection: `io` when the node
  /// is gone (every request without a reply is lost), `timeout` when it says nothing.
  Result<Answer> receive();

  /// The reply to one request; replies to others are dropped.
  Result<Answer> receive_for(std::uint64_t id);

  /// One request and its reply; replies to earlier requests are dropped.
  template <class Request>
  Result<Typed<typename Request::Reply>> call(Request request, zmq::message_t payload = {});

 private:
  ClientChannel(ClientTarget target, ClientOptions options);

  Status connect();
  Status wait_for_node();
  static Status wait(std::span<pollfd> descriptors, std::chrono::milliseconds timeout);
  void look_at_monitor();
  void read_monitor();
  Result<bool> receive_now(Answer& answer);

  ClientTarget target_;
  ClientOptions options_;
  zmq::context_t context_;
  zmq::socket_t socket_;
  zmq::socket_t monitor_;
  bool connected_ = false;
  bool failed_ = false;      ///< an attempt to connect failed
  bool refused_ = false;     ///< for good: libzmq does not try again
  bool broken_off_ = false;  ///< a handshake was, without a reason
  bool lost_ = false;        ///< the connection broke, and with it the requests under way
  std::uint64_t last_id_ = 0;
};

template <class Request>
Result<ClientChannel::Typed<typename Request::Reply>> ClientChannel::call(Request request,
                                                                          zmq::message_t payload) {
  using Reply = typename Request::Reply;
  const auto id = send(client::Request(std::move(request)), std::move(payload));
  if (!id) return fail(id.error());
  auto answer = receive_for(*id);
  if (!answer) return fail(std::move(answer.error()));
  auto message = expect_reply<Reply>(std::move(answer->reply));
  if (!message) return fail(std::move(message.error()));
  return Typed<Reply>{std::move(*message), std::move(answer->payload)};
}

}  // namespace zerodb
