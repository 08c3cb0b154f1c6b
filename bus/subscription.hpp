#pragma once
// A SUB socket to one member's publisher. One thread: the io_context's.

#include <functional>

#include "bus/broadcast.hpp"
#include "bus/socket.hpp"
#include "bus/zmq_links.hpp"

namespace zerodb {

/// Who hears what a subscription brings.
struct Listener {
  std::function<bool(const broadcast::Message&)> is_news;  ///< see LinkHandler::is_news
  std::function<void(broadcast::Message)> on_message;      ///< verified, each once
  std::function<void(const Error&)> on_error;              ///< what was wrong with another
};

class Subscription {
 public:
  /// `member` has an address. Hears nothing until topics are set.
  static Result<std::shared_ptr<Subscription>> open(asio::io_context& io, BusContext& context,
                                                    const CurvePair& keys, const Member& member);
  Subscription(std::shared_ptr<Socket> socket, const Member& member);

  /// Listens until closed.
  static void run(asio::io_context& io, std::shared_ptr<Subscription> self, Listener listener);

  void set_topics(const std::set<std::string>& topics);
  void close() { socket_->close(); }

 private:
  static asio::awaitable<void> read(std::shared_ptr<Subscription> self, Listener listener);
  std::shared_ptr<Socket> socket_;
  BroadcastOpener opener_;
  std::set<std::string> topics_;
};

}  // namespace zerodb
