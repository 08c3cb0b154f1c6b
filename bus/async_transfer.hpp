#pragma once
// Puts and gets of whole objects over an AsyncChannel: small ones in one request, others streamed.
// One thread: the io_context's.

#include <deque>
#include <memory>

#include "bus/async_channel.hpp"

namespace zerodb {

/// How many may do something at once; others wait their turn, in order.
class Turns {
 public:
  Turns(asio::io_context& io, std::size_t free) : io_(io), free_(free) {}

  /// Held while it lasts. The Turns must outlive it.
  class Turn {
   public:
    explicit Turn(Turns& turns) : turns_(&turns) {}
    Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_ != nullptr) turns_->give_back();
    }

   private:
    Turns* turns_;
  };

  Task<Turn> take();

 private:
  void give_back();

  asio::io_context& io_;
  std::size_t free_;
  std::deque<std::shared_ptr<asio::steady_timer>> waiting_;
};

/// What the transfers of one channel share.
struct AsyncTransfers {
  explicit AsyncTransfers(std::shared_ptr<AsyncChannel> over);

  std::shared_ptr<AsyncChannel> channel;
  Turns uploads;
  Turns downloads;
};

Task<Result<client::Stored>> put_object(std::shared_ptr<AsyncTransfers> transfers,
                                        client::Put request, Payload content);

/// `invalid` if what was asked for has more than `bytes_max`.
Task<Result<Bytes>> get_object(std::shared_ptr<AsyncTransfers> transfers, client::Get request,
                               std::uint64_t bytes_max);

}  // namespace zerodb
