#pragma once
// Replies on their way out of a ROUTER. A peer that does not read gets its replies parked here,
// and delays nobody else. One thread: the io_context's.

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <deque>
#include <unordered_map>

#include "bus/socket.hpp"

namespace zerodb {

class ReplyQueue : public std::enable_shared_from_this<ReplyQueue> {
 public:
  ReplyQueue(asio::io_context& io, std::shared_ptr<Socket> router);

  /// `frames` starts with the routing id. What is parked is bounded by the sender's ByteBudget
  /// and by time.
  void send(std::array<Payload, 3> frames);

  /// Tries again to send what is parked.
  void retry();
  void close();

 private:
  using Clock = std::chrono::steady_clock;
  struct Parked {
    std::array<Payload, 3> frames;
    Clock::time_point since;
  };
  using Queue = std::deque<Parked>;

  bool flush(Queue& queue);
  void retry_soon();

  std::shared_ptr<Socket> router_;
  asio::steady_timer timer_;
  bool timer_runs_ = false;
  std::unordered_map<std::string, Queue> parked_;  ///< by routing id
};

}  // namespace zerodb
