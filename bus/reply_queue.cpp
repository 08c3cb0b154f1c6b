#include "bus/reply_queue.hpp"

namespace zerodb {
namespace {

/// A ROUTER cannot tell when one peer of many can take more, so we ask again.
constexpr std::chrono::milliseconds retry_interval{5};
constexpr std::chrono::seconds parked_time_max{60};

}  // namespace

ReplyQueue::ReplyQueue(asio::io_context& io, std::shared_ptr<Socket> router)
    : router_(std::move(router)), timer_(io) {}

void ReplyQueue::send(std::array<Payload, 3> frames) {
  const std::string route(as_text(frames[0].view()));
  const bool in_line = parked_.contains(route);
  if (!in_line && router_->send(frames) != Sent::full) return;
  parked_[route].push_back({std::move(frames), Clock::now()});
  retry_soon();
}

void ReplyQueue::retry() {
  for (auto session = parked_.begin(); session != parked_.end();) {
    session = flush(session->second) ? parked_.erase(session) : std::next(session);
  }
}

/// True when nothing is left to send: all is sent, or the session is gone or will never read.
bool ReplyQueue::flush(Queue& queue) {
  while (!queue.empty()) {
    const auto sent = router_->send(queue.front().frames);
    if (sent == Sent::unreachable) return true;
    if (sent == Sent::full) return Clock::now() - queue.front().since > parked_time_max;
    queue.pop_front();
  }
  return true;
}

void ReplyQueue::retry_soon() {
  if (router_->closed() || std::exchange(timer_runs_, true)) return;
  timer_.expires_after(retry_interval);
  timer_.async_wait([self = shared_from_this()](const asio::error_code&) {
    self->timer_runs_ = false;
    self->retry();
    if (!self->parked_.empty()) self->retry_soon();
  });
}

void ReplyQueue::close() {
  parked_.clear();
  timer_.cancel();
}

}  // namespace zerodb
