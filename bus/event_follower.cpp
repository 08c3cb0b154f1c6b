#include "bus/event_follower.hpp"

#include <thread>
#include <utility>

namespace zerodb {

namespace {

constexpr std::chrono::milliseconds ask_again_after{200};

}  // namespace

EventFollower::EventFollower(BusClient& bus, client::Events start, WaitsFor waits_for)
    : bus_(bus),
      request_(std::move(start)),
      waits_for_(std::move(waits_for)),
      to_be_moved_(request_.durable && request_.since) {}

/// Until the node has answered, or nobody wants to wait for it any more.
template <class Call>
auto EventFollower::ask(const Call& call) {
  for (;;) {
    auto answer = call();
    if (answer || !bus_.lost() || !waits_for_(answer.error())) return answer;
    std::this_thread::sleep_for(ask_again_after);
  }
}

Result<client::Events::Reply> EventFollower::next(std::optional<std::uint32_t> limit) {
  request_.limit = limit;
  auto reply = ask([&] { return bus_.events(request_); });
  if (!reply || is_lost(*reply)) return reply;
  request_.epoch = reply->epoch;
  if (std::exchange(to_be_moved_, false)) {
    const auto first = *request_.since == 0 ? reply->oldest : *request_.since;
    if (auto moved = acknowledge(first, true); !moved) return fail(std::move(moved.error()));
  }
  return reply;
}

Status EventFollower::handled_until(std::uint64_t next) {
  request_.since = next;
  if (next <= 1 || next == acknowledged_) return {};
  return acknowledge(next, false);
}

Status EventFollower::acknowledge(std::uint64_t next, bool back) {
  if (!request_.durable) return {};
  const client::EventsAck ack{
      .durable = *request_.durable, .epoch = epoch(), .sequence = next - 1, .back = back};
  if (auto moved = ask([&] { return bus_.events_ack(ack); }); !moved)
    return fail(std::move(moved.error()));
  acknowledged_ = next;
  return {};
}

bool is_lost(const client::Events::Reply& reply) {
  return reply.gap || reply.reset;
}

std::string what_is_lost(const client::Events::Reply& reply) {
  if (reply.reset) return "the node's log of events is another one than before";
  return "events before " + std::to_string(reply.oldest) + " are not kept any more";
}

}  // namespace zerodb
