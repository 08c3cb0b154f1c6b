#pragma once
// What one client has under way, and whether it may have more: of one connection on a local port,
// of all connections with one credential on a remote one. Requests above the rate wait here in
// order. Inside of ClientPort; one thread, but for what libzmq counts down.

#include <asio/steady_timer.hpp>
#include <atomic>
#include <deque>
#include <functional>
#include <memory>

#include "bus/client_port.hpp"
#include "bus/token_bucket.hpp"

namespace zerodb {

class ClientAccount : public std::enable_shared_from_this<ClientAccount> {
 public:
  using Start = std::function<void()>;

  ClientAccount(asio::io_context& io, const ClientPortOptions& options);

  /// `busy`, saying why, if a request of `bytes` is more than the client may have.
  Status admit(std::size_t bytes) const;

  /// Takes an admitted request in, and calls `start` now or when the rate allows it, after those
  /// that came before.
  void begin(std::size_t bytes, Start start);
  void end(std::size_t bytes);

  /// A frame of a reply, counted as unread for as long as anybody holds it.
  Payload counted(Payload payload);

  void add_connection() { ++connections_; }
  void drop_connection() { --connections_; }
  std::size_t connections() const { return connections_; }

  /// True when it can be made anew when it is needed again.
  bool is_forgettable() const;

  /// What waits is dropped.
  void close();

 private:
  using Clock = TokenBucket::Clock;
  struct Waiting {
    std::size_t bytes = 0;
    Start start;
  };

  Clock::duration pause(Clock::time_point now) const;
  void start_waiting();
  void wait_for(Clock::duration pause);

  const std::size_t requests_max_;
  const std::size_t bytes_max_;
  TokenBucket request_rate_;
  TokenBucket byte_rate_;
  std::size_t requests_ = 0;
  std::size_t bytes_ = 0;
  std::size_t connections_ = 0;
  std::deque<Waiting> waiting_;  ///< counted in requests_ and bytes_, so bounded by their limits
  asio::steady_timer timer_;
  bool timer_runs_ = false;
  bool closed_ = false;
  /// Bytes of replies that libzmq has not sent yet; its threads count down.
  std::shared_ptr<std::atomic<std::size_t>> unread_ = std::make_shared<std::atomic<std::size_t>>(0);
};

}  // namespace zerodb
