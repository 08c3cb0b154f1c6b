#include "bus/event_follower.hpp"
#include "client/client_impl.hpp"
#include "client/public_types.hpp"

namespace zerodb {

using library::shown;

namespace {

client::Events start_of(const std::string& prefix, const WatchOptions& options) {
  client::Events start;
  start.prefix = prefix;
  start.wait_ms = static_cast<std::uint32_t>(options.poll.count());
  if (!options.durable.empty()) start.durable = options.durable;
  if (!options.from) return start;
  start.since = options.from->next;
  if (!options.from->epoch.empty()) start.epoch = options.from->epoch;
  return start;
}

/// All up to where the page ends is handled, unless a stop or an error came in between.
Status hand_on(EventFollower& follower, client::Events::Reply page, const EventSink& sink,
               const std::stop_token& stop) {
  for (auto& event : page.entries) {
    const auto sequence = event.sequence;
    if (stop.stop_requested()) return follower.handled_until(sequence);
    if (auto handled = sink(shown(std::move(event))); !handled) {
      if (auto kept = follower.handled_until(sequence); !kept) return kept;
      return handled;
    }
  }
  return follower.handled_until(page.next);
}

}  // namespace

Result<EventPosition> Client::watch(const std::string& prefix, const EventSink& sink,
                                    WatchOptions options) {
  const auto stop = options.stop;
  const auto until_stopped = [&](const Error&) { return !stop.stop_requested(); };
  EventFollower follower(impl_->bus, start_of(prefix, options), until_stopped);
  while (!stop.stop_requested()) {
    auto page = follower.next();
    if (!page) {
      if (stop.stop_requested() && impl_->bus.lost()) break;
      return fail(std::move(page.error()));
    }
    if (is_lost(*page)) {
      return fail(Errc::not_found, what_is_lost(*page) +
                                       ": take position(), list what there is, "
                                       "watch from there");
    }
    if (auto done = hand_on(follower, std::move(*page), sink, stop); !done)
      return fail(std::move(done.error()));
  }
  if (!follower.position())
    return fail(Errc::io, "the node was not reached before the watch ended");
  return EventPosition{.epoch = follower.epoch(), .next = *follower.position()};
}

Result<EventPosition> Client::position(const std::string& prefix) {
  client::Events request{.limit = 1};
  if (!prefix.empty()) request.prefix = prefix;
  auto reply = impl_->bus.events(request);
  if (!reply) return fail(std::move(reply.error()));
  return EventPosition{.epoch = std::move(reply->epoch), .next = reply->next};
}

}  // namespace zerodb
