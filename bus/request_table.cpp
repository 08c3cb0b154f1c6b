#include "bus/request_table.hpp"

#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>

namespace zerodb {
namespace {

/// Takes an entry out however the wait ends, even if the waiting coroutine is thrown away.
template <class Map>
struct Forget {
  Map& map;
  std::uint64_t id;
  ~Forget() { map.erase(id); }
};

}  // namespace

Task<std::optional<Result<PeerAnswer>>> RequestTable::await_answer(
    std::shared_ptr<RequestTable> table, std::uint64_t id, LaneNumber lane, Milliseconds timeout) {
  const auto waiting = std::make_shared<Waiting>(table->io_, timeout, lane);
  table->waiting_.emplace(id, waiting);
  const Forget<decltype(table->waiting_)> forget{table->waiting_, id};
  asio::error_code ended;  // by time or by the answer: `answer` tells
  co_await waiting->timer.async_wait(asio::redirect_error(asio::use_awaitable, ended));
  co_return std::move(waiting->answer);
}

bool RequestTable::answer(std::uint64_t id, LaneNumber lane, Result<PeerAnswer> answer) {
  const auto found = waiting_.find(id);
  if (found == waiting_.end() || found->second->lane != lane) return false;
  const auto waiting = std::move(found->second);
  waiting_.erase(found);
  waiting->answer = std::move(answer);
  waiting->timer.cancel();
  return true;
}

void RequestTable::fail_all(const Error& error) {
  for (auto& [id, waiting] : waiting_) {
    waiting->answer = fail(error);
    waiting->timer.cancel();
  }
  waiting_.clear();
}

}  // namespace zerodb
