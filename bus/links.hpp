#pragma once
// How a node reaches the others. Protocol code sees only this interface, so that it can run over
// CURVE sockets (zmq_links.hpp) or over a simulated network. One thread: everything here is called
// and called back on the thread of the node's io_context.

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <asio/awaitable.hpp>

#include "bus/broadcast_message.hpp"
#include "bus/peer_message.hpp"
#include "store/buffer.hpp"

namespace zerodb {

template <class T>
using Task = asio::awaitable<T>;

using Milliseconds = std::chrono::milliseconds;

/// Who sent a message, as the CURVE handshake proved it.
struct Caller {
  enum class Role { member, invite };
  NodeId key;  ///< the member's id, or the invite's public key
  Role role = Role::member;
};

struct PeerAnswer {
  peer::Reply message;
  Payload payload;
};

/// Where a member listens, from its signed node record.
struct PeerAddress {
  NodeId node;
  std::string endpoint;            ///< "tcp://host:port" of its ROUTER
  std::string broadcast_endpoint;  ///< of its publisher
};

enum class Health : std::uint8_t {
  down,     ///< it does not answer
  suspect,  ///< the last ping is answered late or never; requests still go to it
  alive,
};

struct LinkState {
  bool up = false;                            ///< alive or suspect
  std::optional<std::uint64_t> heard_ms_ago;  ///< its last answer; nothing: never
  Health health = Health::down;
  std::optional<std::uint64_t> since_ms_ago;  ///< how long it has been so; nothing: not known
  bool refuses = false;                       ///< it turns this node's key away
};

/// The node's side of the bus.
class LinkHandler {
 public:
  virtual ~LinkHandler() = default;

  /// Answers one request; an error becomes an error reply. Many run at once.
  virtual Task<Result<PeerAnswer>> on_request(Caller caller, peer::Request request,
                                              Payload payload) = 0;

  /// Whether a broadcast is worth verifying. Nothing is known yet of who made it up, so the answer
  /// may only save work: a message that is no news is dropped without a word.
  virtual bool is_news(const broadcast::Message& message) const = 0;

  /// A broadcast that was news, its signature verified against `from`'s signing key.
  virtual void on_broadcast(NodeId from, broadcast::Message message) = 0;

  /// A member answered for the first time, or again after it was down.
  virtual void on_link_up(NodeId node) = 0;
  virtual void on_link_down(NodeId node) = 0;
};

class Links {
 public:
  virtual ~Links() = default;

  /// Sends a request and waits for its answer. `timeout`, `busy` (the queue to that peer is full),
  /// `not_found` (no such member or no address), or the error the peer answered with. Chunks
  /// travel on data lanes, everything else on the control lane.
  virtual Task<Result<PeerAnswer>> call(NodeId to, peer::Request request, Payload payload,
                                        Milliseconds timeout) = 0;

  /// Publishes to whoever subscribed: best effort, never blocks. `store` and `delete` go out under
  /// the topics of the object's partition and owner, `get` to all.
  virtual void publish(const ObjectId& about, broadcast::Message message) = 0;

  /// Which broadcasts to hear, besides `get`.
  virtual void subscribe(std::set<Partition> partitions, std::set<OwnerId> owners) = 0;

  virtual LinkState state(const NodeId& node) const = 0;
};

/// The typed form of Links::call: the reply the request asks for, with its payload.
template <class Reply>
struct Answer {
  Reply message;
  Payload payload;
};

template <class Request>
Task<Result<Answer<typename Request::Reply>>> call(Links& links, NodeId to, Request request,
                                                   Payload payload, Milliseconds timeout) {
  using Reply = typename Request::Reply;
  auto answer =
      co_await links.call(to, peer::Request(std::move(request)), std::move(payload), timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  auto* message = std::get_if<Reply>(&answer->message);
  if (message == nullptr) {
    co_return fail(Errc::invalid, "node " + to.short_hex() + ": answered something else to " +
                                      std::string(Request::name));
  }
  co_return Answer<Reply>{std::move(*message), std::move(answer->payload)};
}

}  // namespace zerodb
