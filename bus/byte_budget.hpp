#pragma once
// A limit, in bytes, on what waits for one peer. Payloads carry their charge with them, so it is
// counted until the last holder lets go, be that a queue of ours, a handler or libzmq, which copies
// the small ones, up to a kilobyte: those count no more from then on. Thread-safe:
// libzmq lets go on threads of its own.

#include <atomic>
#include <memory>
#include <optional>

#include "store/buffer.hpp"

namespace zerodb {

class ByteBudget {
 public:
  explicit ByteBudget(std::size_t bytes_max) : bytes_max_(bytes_max) {}

  std::size_t used() const { return used_.load(std::memory_order_relaxed); }
  /// How many payloads are charged.
  std::size_t payloads() const { return payloads_.load(std::memory_order_relaxed); }

  /// The same bytes, charged to `budget` for as long as any copy lives; nothing when they would
  /// exceed it.
  static std::optional<Payload> charge(const std::shared_ptr<ByteBudget>& budget, Payload payload) {
    const auto bytes = payload.size() + overhead_bytes;
    if (!budget->take(bytes)) return {};
    const auto view = payload.view();
    return Payload(std::make_shared<const Charge>(budget, bytes, std::move(payload)), view);
  }

 private:
  /// So that many empty messages are not free.
  static constexpr std::size_t overhead_bytes = 128;

  struct Charge {
    Charge(std::shared_ptr<ByteBudget> to, std::size_t amount, Payload kept)
        : budget(std::move(to)), bytes(amount), payload(std::move(kept)) {
      budget->payloads_.fetch_add(1, std::memory_order_relaxed);
    }
    Charge(const Charge&) = delete;
    Charge& operator=(const Charge&) = delete;
    ~Charge() {
      budget->used_.fetch_sub(bytes, std::memory_order_relaxed);
      budget->payloads_.fetch_sub(1, std::memory_order_relaxed);
    }
    std::shared_ptr<ByteBudget> budget;
    std::size_t bytes;
    Payload payload;
  };

  bool take(std::size_t bytes) {
    const auto before = used_.fetch_add(bytes, std::memory_order_relaxed);
    if (before + bytes <= bytes_max_) return true;
    used_.fetch_sub(bytes, std::memory_order_relaxed);
    return false;
  }

  const std::size_t bytes_max_;
  std::atomic<std::size_t> used_{0};
  std::atomic<std::size_t> payloads_{0};
};

}  // namespace zerodb
