#pragma once
// What becomes of the connections to a server's socket, told by libzmq's monitor. A connection is
// named by its descriptor, whose number may serve again for the next one once it ended. One thread:
// the io_context's.

#include <functional>
#include <set>

#include "bus/socket.hpp"

namespace zerodb {

class ConnectionWatch : public std::enable_shared_from_this<ConnectionWatch> {
 public:
  using OnEnd = std::function<void(int descriptor)>;

  /// Before `watched` is bound.
  static Result<std::shared_ptr<ConnectionWatch>> start(asio::io_context& io, BusContext& context,
                                                        std::shared_ptr<Socket> watched);

  ConnectionWatch(std::shared_ptr<Socket> watched, std::shared_ptr<Socket> monitor)
      : watched_(std::move(watched)), monitor_(std::move(monitor)) {}

  /// Follows what happens until closed; `on_end` is not called after that.
  void run(asio::io_context& io, OnEnd on_end);

  /// What has happened so far, without waiting.
  void catch_up();

  /// Closes a connection, if it is one of these. It may be a newer one that was given the number of
  /// one that ended: that is made once more then.
  void hang_up(int descriptor);

  /// Closes every connection, as if its other end had: who may still come in does so by itself.
  void hang_up_all();

  /// Before `watched` is closed.
  void close();

 private:
  static asio::awaitable<void> follow(std::shared_ptr<ConnectionWatch> self);
  void on_event(const Inbound& event);

  std::shared_ptr<Socket> watched_;
  std::shared_ptr<Socket> monitor_;
  OnEnd on_end_;
  std::set<int> descriptors_;
};

}  // namespace zerodb
