#pragma once
// The one ZeroMQ context of a process: its I/O threads, which do CURVE, and its sockets. It is
// opened first and dropped last, after everything that was started with it has stopped. Keeps
// libzmq out of the headers that node/ sees. Thread-safe once open.

#include <memory>

#include "store/result.hpp"

namespace zmq {
class context_t;
}

namespace zerodb {

struct BusContextOptions {
  int io_threads = 1;  ///< one connection lives on one of them
  /// For each other member three lanes, a subscription, and a watch of two: libzmq's monitor, too.
  int max_sockets = 16384;
};

class BusContext {
 public:
  /// `io` when the system has no file descriptor or thread to spare.
  static Result<BusContext> open(const BusContextOptions& options = {});

  BusContext(BusContext&&) noexcept;
  BusContext& operator=(BusContext&&) noexcept;
  /// Waits until every socket is closed: stop what uses the context before.
  ~BusContext();

  /// For bus/ alone.
  zmq::context_t& zmq() const { return *context_; }

 private:
  explicit BusContext(std::unique_ptr<zmq::context_t> context);
  std::unique_ptr<zmq::context_t> context_;
};

}  // namespace zerodb
