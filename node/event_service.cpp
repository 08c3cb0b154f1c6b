#include "node/event_service.hpp"

namespace zerodb {
namespace {

constexpr std::uint32_t events_limit_max = 1'000;
constexpr Milliseconds deadline_step{50};
constexpr std::uint64_t publisher_wait_ms = 1'000;

tl::unexpected<Error> no_owner_here() {
  return fail(Errc::denied,
              "this node holds no owner's key, so it knows of no events; ask one of the owner's "
              "gateways");
}

client::Event event_of(LoggedEvent event) {
  return {.sequence = event.sequence,
          .kind = event.deleted ? "delete" : "store",
          .key = std::move(event.entry.name),
          .version = event.entry.version.value,
          .size = event.entry.size,
          .mtime_ms = event.entry.mtime_ms,
          .time_ms = event.time_ms};
}

/// The answer to who wants what the log has no more: where to go on after a listing.
client::Events::Reply lost_reply(const EventLogState& log, bool reset) {
  return {.epoch = log.epoch.hex(),
          .next = log.next,
          .oldest = log.oldest,
          .gap = !reset,
          .reset = reset};
}

client::Events::Reply reply_of(EventPage page) {
  client::Events::Reply reply{.epoch = page.log.epoch.hex(),
                              .next = page.next,
                              .oldest = page.log.oldest,
                              .gap = false,
                              .reset = false};
  for (auto& event : page.events)
    reply.entries.push_back(event_of(std::move(event)));
  return reply;
}

Result<ClientAnswer> answer(client::Reply reply) {
  return ClientAnswer{std::move(reply), {}};
}

/// Counts a request of a client for as long as it lasts.
class CountedPoll {
 public:
  CountedPoll(std::map<ClientId, std::size_t>& counts, ClientId client)
      : counts_(counts), client_(client) {
    ++counts_[client_];
  }
  ~CountedPoll() {
    if (--counts_[client_] == 0) counts_.erase(client_);
  }
  CountedPoll(const CountedPoll&) = delete;
  CountedPoll& operator=(const CountedPoll&) = delete;

 private:
  std::map<ClientId, std::size_t>& counts_;
  ClientId client_;
};

Task<Result<EventLogState>> log_of(std::shared_ptr<Gateway> gateway) {
  EventQuery nothing{.from = 0, .limit = 0};
  auto page = co_await gateway->events(std::move(nothing));
  if (!page) co_return fail(std::move(page.error()));
  co_return page->log;
}

}  // namespace

EventService::EventService(NodeContext context, std::function<std::shared_ptr<Gateway>()> gateway,
                           EventServiceOptions options)
    : context_(context), gateway_(std::move(gateway)), options_(options) {}

// ------------------------------------------------------------------------------------------
// polling

Task<Result<ClientAnswer>> EventService::events(ClientId client, client::Events request) {
  const auto gateway = gateway_();
  if (!gateway) co_return no_owner_here();
  const auto waiting = waits_.find(client);
  if (waiting != waits_.end() && waiting->second >= options_.waits_per_client_max) {
    co_return fail(Errc::busy, "too many requests of this client wait for events already");
  }
  const CountedPoll counted(waits_, client);
  co_return co_await poll(gateway, std::move(request));
}

Task<Result<EventService::Start>> EventService::start_of_follower(GatewayPtr gateway,
                                                                  const client::Events& request,
                                                                  EventLogState log) {
  const auto& name = *request.durable;
  if (auto valid = check_follower_name(name); !valid) co_return fail(std::move(valid.error()));
  auto found = co_await gateway->followers().find(name);
  if (!found) co_return fail(std::move(found.error()));
  auto position = *found;
  if (!position) {
    const auto begin = std::min(request.since.value_or(log.next), log.next);
    const FollowerPosition first{.epoch = log.epoch, .next = std::max(begin, log.oldest)};
    auto added = co_await gateway->followers().add(name, first);
    if (!added) co_return fail(std::move(added.error()));
    position = *added;
  }
  co_return Start{.from = position->next, .epoch = position->epoch};
}

Task<Result<EventService::Start>> EventService::start_of(GatewayPtr gateway,
                                                         const client::Events& request) {
  auto log = co_await log_of(gateway);
  if (!log) co_return fail(std::move(log.error()));
  Start start{.from = log->next, .epoch = log->epoch};
  if (request.durable) {
    auto follower = co_await start_of_follower(gateway, request, *log);
    if (!follower) co_return fail(std::move(follower.error()));
    start = *follower;
  }
  if (!request.since) co_return start;
  start = {.from = *request.since, .epoch = log->epoch};
  if (start.from == 0) start.from = log->oldest;
  if (request.epoch) {
    auto epoch = LogEpoch::from_hex(*request.epoch);
    if (!epoch) co_return fail(std::move(epoch.error()));
    start.epoch = *epoch;
  }
  co_return start;
}

Task<Result<ClientAnswer>> EventService::poll(GatewayPtr gateway, client::Events request) {
  const auto wait_ms = std::min<std::uint64_t>(
      request.wait_ms.value_or(0), static_cast<std::uint64_t>(options_.wait_max.count()));
  const auto until_ms = context_.runtime.steady_ms() + wait_ms;
  co_await gateway->follow();
  const auto start = co_await start_of(gateway, request);
  if (!start) co_return fail(start.error());
  EventQuery query{
      .from = start->from,
      .prefix = request.prefix.value_or(""),
      .limit = std::clamp(request.limit.value_or(events_limit_max), 1U, events_limit_max)};
  for (;;) {
    const auto revision = gateway->events_revision();
    auto page = co_await gateway->events(query);
    if (!page) co_return fail(std::move(page.error()));
    const bool reset = page->log.epoch != start->epoch || query.from > page->log.next;
    if (reset || query.from < page->log.oldest) co_return answer(lost_reply(page->log, reset));
    query.from = page->next;
    const bool at_end = page->next == page->log.next;
    const bool late = stopped_ || context_.runtime.steady_ms() >= until_ms;
    if (!page->events.empty() || (at_end && late)) co_return answer(reply_of(std::move(*page)));
    const auto nothing_new = [&] {
      return !stopped_ && revision == gateway->events_revision() &&
             context_.runtime.steady_ms() < until_ms;
    };
    while (at_end && nothing_new())  // the end of another's wait wakes all
      co_await wait(gateway, until_ms);
  }
}

/// Until something may have been added to the log, or until then.
Task<void> EventService::wait(GatewayPtr gateway, std::uint64_t until_ms) {
  if (stopped_) co_return;
  const auto mine = deadlines_.emplace(until_ms, gateway);
  if (!std::exchange(watching_, true)) spawn(context_.runtime, watch_deadlines());
  co_await gateway->events_changed().wait();
  deadlines_.erase(mine);
}

/// One clock for all waits: a sleep for each could not be ended when its wait does.
Task<void> EventService::watch_deadlines() {
  while (!stopped_ && !deadlines_.empty()) {
    co_await context_.runtime.sleep(deadline_step);
    const auto now_ms = context_.runtime.steady_ms();
    for (const auto& [until_ms, gateway] : deadlines_) {
      if (until_ms > now_ms) break;
      gateway->events_changed().notify();
    }
  }
  watching_ = false;
}

void EventService::stop() {
  stopped_ = true;
  for (const auto& [until_ms, gateway] : deadlines_)
    gateway->events_changed().notify();
}

// ----------------------------------------------------------------------------------------
// followers

Task<Result<ClientAnswer>> EventService::ack(client::EventsAck request) {
  const auto gateway = gateway_();
  if (!gateway) co_return no_owner_here();
  const auto epoch = LogEpoch::from_hex(request.epoch);
  if (!epoch) co_return fail(epoch.error());
  const auto log = co_await log_of(gateway);
  if (!log) co_return fail(log.error());
  if (*epoch != log->epoch) {
    co_return fail(Errc::invalid, "events_ack: the log is another one now: ask for events first");
  }
  if (request.sequence >= log->next) {
    co_return fail(Errc::invalid,
                   "events_ack: there is no event " + std::to_string(request.sequence) + " yet");
  }
  const FollowerPosition to{.epoch = *epoch, .next = request.sequence + 1};
  auto moved =
      co_await gateway->followers().move(request.durable, to, request.back.value_or(false));
  if (!moved) co_return fail(std::move(moved.error()));
  co_return answer(client::Follower{
      .durable = request.durable, .epoch = moved->epoch.hex(), .next = moved->next});
}

Task<Result<ClientAnswer>> EventService::followers() {
  const auto gateway = gateway_();
  if (!gateway) co_return no_owner_here();
  const auto log = co_await log_of(gateway);
  if (!log) co_return fail(log.error());
  client::Followers::Reply reply{
      .epoch = log->epoch.hex(), .oldest = log->oldest, .next = log->next};
  const auto all = co_await gateway->followers().all();
  if (!all) co_return fail(all.error());
  for (const auto& [name, position] : *all) {
    const bool lost = position.epoch != log->epoch || position.next < log->oldest;
    const auto from = lost ? log->oldest : std::min(position.next, log->next);
    reply.entries.push_back(
        {.durable = name, .next = position.next, .behind = log->next - from, .lost = lost});
  }
  co_return answer(std::move(reply));
}

Task<Result<ClientAnswer>> EventService::remove(client::FollowerRemove request) {
  const auto gateway = gateway_();
  if (!gateway) co_return no_owner_here();
  auto removed = co_await gateway->followers().remove(std::move(request.durable));
  if (!removed) co_return fail(std::move(removed.error()));
  co_return answer(client::Ok{});
}

// ---------------------------------------------------------------------------------------
// publishing

void EventService::on_subscribed() {
  if (!stopped_ && !std::exchange(publishing_, true)) spawn(context_.runtime, publish());
}

bool EventService::is_publishing(const GatewayPtr& gateway) const {
  return !stopped_ && sink_ != nullptr && sink_->has_subscribers() && gateway == gateway_();
}

/// From now on, as long as somebody listens.
Task<void> EventService::publish() {
  while (is_publishing(gateway_())) {
    if (const auto gateway = gateway_()) co_await publish_from(gateway);
    if (is_publishing(gateway_())) co_await context_.runtime.sleep(deadline_step);
  }
  publishing_ = false;
}

/// What a log loses before it is published is found by subscribers when they ask.
Task<void> EventService::publish_from(GatewayPtr gateway) {
  co_await gateway->follow();
  const auto log = co_await log_of(gateway);
  if (!log) co_return;
  EventQuery query{.from = log->next};
  while (is_publishing(gateway)) {
    co_await gateway->follow();
    const auto revision = gateway->events_revision();
    auto page = co_await gateway->events(query);
    if (!page || page->log.epoch != log->epoch) co_return;
    for (auto& event : page->events) {
      if (!is_publishing(gateway)) co_return;
      sink_->publish({.epoch = log->epoch.hex(), .event = event_of(std::move(event))});
    }
    query.from = page->next;
    if (page->next == page->log.next && revision == gateway->events_revision()) {
      co_await wait(gateway, context_.runtime.steady_ms() + publisher_wait_ms);
    }
  }
}

}  // namespace zerodb
