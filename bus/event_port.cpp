#include "bus/event_port.hpp"

#include <asio/co_spawn.hpp>

#include "bus/codec.hpp"
#include "bus/links.hpp"
#include "bus/or_terminate.hpp"
#include "bus/private_socket.hpp"
#include "bus/socket.hpp"

namespace zerodb {
namespace {

/// Of one subscriber, not read yet; those beyond are dropped.
constexpr int unread_events_max = 10'000;
constexpr std::int64_t subscription_bytes_max = 4'096;

class XpubPort final : public EventPort {
 public:
  XpubPort(std::shared_ptr<Socket> socket, std::filesystem::path path,
           std::shared_ptr<std::size_t> topics)
      : socket_(std::move(socket)), path_(std::move(path)), topics_(std::move(topics)) {}
  ~XpubPort() override { stop(); }

  bool has_subscribers() const override { return *topics_ > 0; }

  void publish(const client::Published& event) override {
    const auto topic = topic_of(event.event);
    const std::array frames{Payload::copy_of(as_bytes(topic)), Payload::take(codec::encode(event))};
    static_cast<void>(socket_->send(frames));
  }

  void stop() override {
    if (path_.empty()) return;
    socket_->close();
    std::error_code ignored;
    std::filesystem::remove(std::exchange(path_, {}), ignored);
  }

 private:
  std::shared_ptr<Socket> socket_;
  std::filesystem::path path_;
  std::shared_ptr<std::size_t> topics_;  ///< that somebody subscribed to
};

/// libzmq tells of a topic when the first subscribes and when the last is gone.
Task<void> count_topics(std::shared_ptr<Socket> socket, std::shared_ptr<std::size_t> topics,
                        std::function<void()> on_subscribed) {
  while (const auto message = co_await socket->receive()) {
    const auto said = message->frames.front().view();
    if (said.empty()) continue;
    if (said[0] == 1) {
      *topics += 1;
      on_subscribed();
    } else if (said[0] == 0 && *topics > 0) {
      *topics -= 1;
    }
  }
}

}  // namespace

std::string topic_of(const client::Event& event) {
  return event.kind + " " + event.key;
}

Result<std::unique_ptr<EventPort>> EventPort::start(asio::io_context& io, BusContext& context,
                                                    const std::string& endpoint,
                                                    std::function<void()> on_subscribed) {
  auto socket = Socket::open(io, context, zmq::socket_type::xpub);
  if (!socket) return fail(std::move(socket.error()));
  try {
    auto& xpub = (*socket)->zmq();
    xpub.set(zmq::sockopt::linger, 0);
    xpub.set(zmq::sockopt::sndhwm, unread_events_max);
    xpub.set(zmq::sockopt::maxmsgsize, subscription_bytes_max);
    auto path = bind_to_private_file(xpub, endpoint);
    if (!path) return fail(std::move(path.error()));
    auto topics = std::make_shared<std::size_t>(0);
    asio::co_spawn(io, count_topics(*socket, topics, std::move(on_subscribed)), or_terminate);
    return std::make_unique<XpubPort>(std::move(*socket), std::move(*path), std::move(topics));
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, printable(endpoint) +
                              ": events cannot be published there: " + std::string(error.what()));
  }
}

}  // namespace zerodb
