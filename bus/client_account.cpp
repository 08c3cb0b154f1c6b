#include "bus/client_account.hpp"

namespace zerodb {

ClientAccount::ClientAccount(asio::io_context& io, const ClientPortOptions& options)
    : requests_max_(options.requests_per_client_max),
      bytes_max_(options.client_bytes_max),
      request_rate_(options.requests_per_s_max),
      byte_rate_(options.bytes_per_s_max),
      timer_(io) {}

Status ClientAccount::admit(std::size_t bytes) const {
  if (requests_ >= requests_max_) {
    return fail(Errc::busy, std::to_string(requests_) +
                                " requests of this client are being answered: wait for replies");
  }
  if (bytes_ + bytes > bytes_max_) {
    return fail(Errc::busy, "too many bytes of this client are being stored: wait for replies");
  }
  if (*unread_ > bytes_max_) {
    return fail(Errc::busy, "too many replies wait for this client: read them first");
  }
  return {};
}

void ClientAccount::begin(std::size_t bytes, Start start) {
  ++requests_;
  bytes_ += bytes;
  waiting_.push_back({bytes, std::move(start)});
  start_waiting();
}

void ClientAccount::end(std::size_t bytes) {
  --requests_;
  bytes_ -= bytes;
}

ClientAccount::Clock::duration ClientAccount::pause(Clock::time_point now) const {
  return std::max(request_rate_.pause(now), byte_rate_.pause(now));
}

void ClientAccount::start_waiting() {
  while (!waiting_.empty() && !closed_) {
    const auto now = Clock::now();
    const auto left = pause(now);
    if (left > Clock::duration::zero()) return wait_for(left);
    auto next = std::move(waiting_.front());
    waiting_.pop_front();
    request_rate_.take(1, now);
    byte_rate_.take(next.bytes, now);
    next.start();
  }
}

void ClientAccount::wait_for(Clock::duration pause) {
  if (std::exchange(timer_runs_, true)) return;
  timer_.expires_after(pause);
  timer_.async_wait([self = shared_from_this()](const asio::error_code&) {
    self->timer_runs_ = false;
    self->start_waiting();
  });
}

Payload ClientAccount::counted(Payload payload) {
  struct Count {
    Payload payload;
    std::shared_ptr<std::atomic<std::size_t>> unread;
    Count(Payload held, std::shared_ptr<std::atomic<std::size_t>> counter)
        : payload(std::move(held)), unread(std::move(counter)) {
      *unread += payload.size();
    }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    ~Count() { *unread -= payload.size(); }
  };
  byte_rate_.take(payload.size(), Clock::now());
  auto count = std::make_shared<const Count>(std::move(payload), unread_);
  const auto view = count->payload.view();
  return {std::move(count), view};
}

bool ClientAccount::is_forgettable() const {
  const auto now = Clock::now();
  return connections_ == 0 && requests_ == 0 && *unread_ == 0 && request_rate_.is_full(now) &&
         byte_rate_.is_full(now);
}

void ClientAccount::close() {
  closed_ = true;
  waiting_.clear();
  timer_.cancel();
}

}  // namespace zerodb
