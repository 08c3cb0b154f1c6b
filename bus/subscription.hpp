#pragma once
// A SUB socket to one member's publisher. One thread: the io_context's.

#include <functional>

#include "bus/broadcast.hpp"
#include "bus/socket.hpp"
#include "bus/zmq_links.hpp"

namespace zerodb {

class Subscription {
 public:
  using OnMessage = std::function<void(broadcast::Message)>;
  using OnError = std::function<void(const Error&)>;

  /// `member` has an address. Hears nothing until topics are set.
  static Result<std::shared_ptr<Subscription>> open(asio::io_context& io, BusContext& context,
                                                    const CurvePair& keys, const Member& member);
  Subscription(std::shared_ptr<Socket> socket, const Member& member);

  /// Passes on each verified message, once, and what was wrong with the others, until closed.
  static void run(asio::io_context& io, std::shared_ptr<Subscription> self, OnMessage on_message,
                  OnError on_error);

  void set_topics(const std::set<std::string>& topics);
  void close() { socket_->close(); }

 private:
  static asio::awaitable<void> read(std::shared_ptr<Subscription> self, OnMessage on_message,
                                    OnError on_error);
  std::shared_ptr<Socket> socket_;
  BroadcastOpener opener_;
  std::set<std::string> topics_;
};

}  // namespace zerodb
