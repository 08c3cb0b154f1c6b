#pragma once
// Links over ZeroMQ: one CURVE ROUTER and one CURVE PUB bound here; to every other member a
// control lane and data lanes (CURVE DEALERs, server key pinned) and a subscription. Every socket
// is made, used and closed on the io_context's thread. Queues are bounded in bytes, those of
// broadcasts and of replies in libzmq's hands in messages.

#include <memory>

#include <asio/io_context.hpp>

#include "bus/context.hpp"
#include "bus/links.hpp"
#include "store/keys.hpp"

namespace zerodb {

class ZapHandler;

struct ZmqLinksOptions {
  std::string listen;            ///< "tcp://host:port" to bind; port 0 takes any
  std::string broadcast_listen;  ///< likewise, of the publisher
  unsigned data_lanes = 2;       ///< DEALERs for chunks, per peer
  Milliseconds ping_interval{1000};
  Milliseconds down_after{4000};             ///< without an answer, a member counts as down
  std::size_t peer_bytes_max = 64 << 20;     ///< waiting to be sent to one peer, either way
  std::size_t requests_per_peer_max = 1024;  ///< of one peer being answered at once
  Milliseconds ban{10'000};                  ///< of who sends what is not worth an answer
};

/// A member as the links must know it.
struct Member {
  NodeId node;
  SignKey sign_key;
  std::optional<PeerAddress> address;  ///< nothing until its record is known
};

class ZmqLinks : public Links {
 public:
  /// Binds, starts the ZAP handler, and proves on the spot that an unknown key is refused: if it
  /// is not, or an address cannot be bound, that is the error and nothing runs.
  /// `handler` outlives the links.
  static Result<std::unique_ptr<ZmqLinks>> start(asio::io_context& io, BusContext& context,
                                                 const NodeKeys& keys,
                                                 const ZmqLinksOptions& options,
                                                 LinkHandler& handler);

  /// The endpoints really bound, with the port the system chose: "tcp://127.0.0.1:7710".
  virtual std::string endpoint() const = 0;
  virtual std::string broadcast_endpoint() const = 0;

  /// Who may speak to this node. Links to members that left are closed; calls to them fail.
  virtual void set_members(std::vector<Member> members) = 0;

  /// Invite keys that may handshake and send `join`.
  virtual void set_invites(std::set<NodeId> invites) = 0;

  /// For each ping, `make` is asked for the Hello to send, and `answered` told of its reply.
  virtual void set_hello(std::function<peer::Hello()> make,
                         std::function<void(NodeId, const peer::Hello::Reply&)> answered) = 0;

  /// The one handler that the context may have: it serves the port for remote clients, too.
  virtual ZapHandler& zap() = 0;

  /// Decides which keys get through a handshake in the domain client_domain; until then none.
  virtual void set_clients(std::function<bool(const NodeId&)> admits) = 0;

  /// Closes every socket; coroutines waiting in call() get `io`. Call before the context closes.
  virtual void stop() = 0;
};

/// One request over a connection of its own, made with `keys` to a server whose key is known: how
/// a joining node speaks with an invite's key. Asked again on a new connection if one breaks, so
/// the request is one that may be repeated. `timeout` if the node cannot be reached within
/// `timeout`, or does not answer within four times that. Blocking; for use outside a running node.
Result<PeerAnswer> call_once(const std::string& endpoint, const NodeId& server,
                             const CurvePair& keys, const peer::Request& request,
                             Milliseconds timeout);

}  // namespace zerodb
