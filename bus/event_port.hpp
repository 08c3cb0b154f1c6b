#pragma once
// Where a node publishes its events to clients: an XPUB on a socket file that only this user may
// open. XPUB and not PUB, so that a node whom nobody listens to does nothing for it. It drops what
// a subscriber does not read: subscribers are woken by it, and ask for events (PROTOCOL.md).
// One thread: the io_context's.

#include <functional>
#include <memory>
#include <string>

#include "bus/client_message.hpp"
#include "bus/context.hpp"

#include <asio/io_context.hpp>

namespace zerodb {

/// Who is told of events as they happen.
class EventSink {
 public:
  virtual ~EventSink() = default;
  virtual bool has_subscribers() const = 0;
  virtual void publish(const client::Published& event) = 0;
};

/// "store KEY" or "delete KEY".
std::string topic_of(const client::Event& event);

class EventPort : public EventSink {
 public:
  /// `on_subscribed` is told when somebody listens to what nobody did before. `invalid` when the
  /// path is too long or holds something else, `io` when it cannot be bound.
  static Result<std::unique_ptr<EventPort>> start(asio::io_context& io, BusContext& context,
                                                  const std::string& endpoint,
                                                  std::function<void()> on_subscribed);
  virtual void stop() = 0;
};

}  // namespace zerodb
