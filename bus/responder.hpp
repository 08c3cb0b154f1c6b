#pragma once
// Where other nodes ask: a CURVE ROUTER. Checks who asks with every message, hands requests to the
// node's handler, many at once, and sends its answers. One thread: the io_context's.

#include <functional>
#include <map>

#include "bus/byte_budget.hpp"
#include "bus/complaints.hpp"
#include "bus/links.hpp"
#include "bus/reply_queue.hpp"

namespace zerodb {

struct ResponderOptions {
  std::size_t peer_bytes_max = 0;         ///< of requests being answered, and of replies unsent
  std::size_t requests_per_peer_max = 0;  ///< being answered at once
};

class Responder : public std::enable_shared_from_this<Responder> {
 public:
  /// Who holds this key, if he may speak here.
  using WhoIs = std::function<std::optional<Caller>(const NodeId&)>;
  /// Told of each message of somebody known.
  using OnHeard = std::function<void(const Caller&)>;

  Responder(asio::io_context& io, std::shared_ptr<Socket> router, const ResponderOptions& options,
            LinkHandler& handler);

  /// Answers until closed; `who_is` and `on_heard` are not called after that.
  void run(WhoIs who_is, OnHeard on_heard);
  void close();

 private:
  /// What one peer keeps us busy with.
  struct Load {
    explicit Load(std::size_t bytes_max)
        : requests(std::make_shared<ByteBudget>(bytes_max)),
          replies(std::make_shared<ByteBudget>(bytes_max)) {}
    std::shared_ptr<ByteBudget> requests;
    std::shared_ptr<ByteBudget> replies;
    std::size_t answering = 0;
  };

  /// One request, and where its answer goes.
  struct Ask {
    Caller caller;
    std::shared_ptr<Load> load;
    Payload route;
    std::uint64_t id = 0;
  };

  static asio::awaitable<void> serve(std::shared_ptr<Responder> self);
  static asio::awaitable<void> answer(std::shared_ptr<Responder> self, Ask ask,
                                      peer::Request request, Payload payload);
  static Task<Result<PeerAnswer>> handle(LinkHandler& handler, Caller caller, peer::Request request,
                                         Payload payload);

  void on_message(Inbound inbound);
  void on_request(Ask ask, peer::Request request, Payload payload);
  void reply(const Ask& ask, Result<PeerAnswer> answer);
  bool send(const Ask& ask, Bytes header, Payload payload);
  std::shared_ptr<Load> load_of(const NodeId& key);

  asio::io_context& io_;
  std::shared_ptr<Socket> router_;
  std::shared_ptr<ReplyQueue> replies_;
  ResponderOptions options_;
  LinkHandler& handler_;
  WhoIs who_is_;
  OnHeard on_heard_;
  std::map<NodeId, std::shared_ptr<Load>> loads_;
  Complaints complaints_;
};

}  // namespace zerodb
