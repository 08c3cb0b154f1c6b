#pragma once
// Where other nodes ask: a CURVE ROUTER. Checks who asks with every message, hands requests to the
// node's handler, many at once, and sends its answers. One thread: the io_context's.

#include <deque>
#include <functional>
#include <map>

#include "bus/ban_list.hpp"
#include "bus/byte_budget.hpp"
#include "bus/complaints.hpp"
#include "bus/connection_watch.hpp"
#include "bus/links.hpp"
#include "bus/reply_queue.hpp"
#include "bus/token_bucket.hpp"

namespace zerodb {

struct ResponderOptions {
  std::size_t peer_bytes_max = 0;           ///< of requests being answered, and of replies unsent
  std::size_t requests_per_peer_max = 0;    ///< being answered, or waiting for their turn
  std::size_t handlers_per_peer_max = 128;  ///< being answered at once
  std::size_t reads_per_peer_max = 8;       ///< of them those that read from the disk
  std::size_t proofs_per_peer_max = 2;
  std::size_t listings_per_peer_max = 1;    ///< and those that look through much
  std::uint64_t greetings_per_s_max = 100;  ///< of one peer, and what else is about membership
  std::uint64_t items_per_s_max = 2 << 20;  ///< read from one peer's headers
  std::uint64_t refusals_per_s_max = 100;   ///< answered; more is dropped
  std::uint64_t drops_per_s_max = 2'000;    ///< borne with; honest peers cause half as many at most
  std::uint64_t overrun_per_s_max = 500;    ///< answered to who has more under way than it may
  std::uint64_t offences_per_s_max = 10;    ///< not worth an answer; for more a peer is banned
  BanList::Clock::duration ban{};
};

class Responder : public std::enable_shared_from_this<Responder> {
 public:
  /// Who holds this key, if he may speak here.
  using WhoIs = std::function<std::optional<Caller>(const NodeId&)>;
  /// Told of each message of somebody known.
  using OnHeard = std::function<void(const Caller&)>;

  /// `connections` are the router's.
  Responder(asio::io_context& io, std::shared_ptr<Socket> router,
            std::shared_ptr<ConnectionWatch> connections, const ResponderOptions& options,
            LinkHandler& handler);

  /// Answers until closed; `who_is` and `on_heard` are not called after that.
  void run(WhoIs who_is, OnHeard on_heard);
  void close();

  /// Whether this peer is to be kept out, for what it sent.
  bool has_banned(const NodeId& key) const { return bans_.has(key, BanList::Clock::now()); }
  void forgive(const NodeId& key) { bans_.forgive(key); }

 private:
  struct Load;
  /// One request, and where its answer goes.
  struct Ask {
    Caller caller;
    std::shared_ptr<Load> load;
    Payload route;
    std::uint64_t id = 0;
  };
  struct Waiting {
    Ask ask;
    peer::Request request;
    Payload payload;
    Payload header;  ///< for its charge: what was read from it is about as large
  };
  /// So many handlers at once; the other requests wait in order.
  struct Turns {
    std::size_t most = 0;
    bool costly = false;  ///< each may take long
    std::size_t taken = 0;
    std::deque<Waiting> waiting;
  };
  /// What one peer keeps us busy with. What waits holds it, too: both end with the last answer.
  struct Load {
    explicit Load(const ResponderOptions& options)
        : requests(std::make_shared<ByteBudget>(options.peer_bytes_max)),
          replies(std::make_shared<ByteBudget>(options.peer_bytes_max)),
          handlers{.most = options.handlers_per_peer_max},
          reads{.most = options.reads_per_peer_max},
          proofs{.most = options.proofs_per_peer_max, .costly = true},
          listings{.most = options.listings_per_peer_max, .costly = true},
          greetings(options.greetings_per_s_max),
          reading(options.items_per_s_max),
          refusals(options.refusals_per_s_max),
          drops(options.drops_per_s_max),
          overrun(options.overrun_per_s_max) {}
    std::shared_ptr<ByteBudget> requests;
    std::shared_ptr<ByteBudget> replies;
    std::size_t answering = 0;  ///< or waiting
    Turns handlers;
    Turns reads;
    Turns proofs;
    Turns listings;
    TokenBucket greetings;
    TokenBucket reading;
    TokenBucket refusals;
    TokenBucket drops;
    TokenBucket overrun;  ///< while there was too much a moment ago
    TokenBucket::Clock::time_point overran_at{};
  };

  static asio::awaitable<void> serve(std::shared_ptr<Responder> self);
  static asio::awaitable<void> answer(std::shared_ptr<Responder> self, Waiting first, Turns* turns);

  void on_message(Inbound inbound);
  void on_offence(const NodeId& key, const std::string& kind, const std::string& detail);
  void drop(const Ask& ask, const std::string& kind);
  void drop_banned(const Inbound& inbound, const NodeId& key);
  bool is_deaf(const Load& load) const;
  void refuse(const Ask& ask, Error why);
  static TokenBucket::Clock::duration pause_after(Load& load, const Turns& turns,
                                                  TokenBucket::Clock::duration work);
  void on_request(Waiting asked);
  void start(Waiting asked, Turns* turns);
  static Turns* turns_for(Load& load, const peer::Request& request);
  void reply(const Ask& ask, Result<PeerAnswer> answer);
  bool send(const Ask& ask, Bytes header, Payload payload);
  std::shared_ptr<Load> load_of(const NodeId& key);

  asio::io_context& io_;
  std::shared_ptr<Socket> router_;
  std::shared_ptr<ConnectionWatch> connections_;
  std::shared_ptr<ReplyQueue> replies_;
  ResponderOptions options_;
  LinkHandler& handler_;
  WhoIs who_is_;
  OnHeard on_heard_;
  std::map<NodeId, std::shared_ptr<Load>> loads_;
  BanList bans_;
  Complaints complaints_;
};

}  // namespace zerodb
