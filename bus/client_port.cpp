#include "bus/client_port.hpp"

#include <sys/stat.h>

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <atomic>
#include <cstring>
#include <filesystem>
#include <unordered_map>

#include "bus/client_socket_path.hpp"
#include "bus/codec.hpp"
#include "bus/socket.hpp"

namespace zerodb {

namespace {

constexpr std::string_view ipc_scheme = "ipc://";
constexpr int unread_replies_max = 1000;  ///< of one client; after that it is given up

/// Where a reply goes, and whether the client is a REQ, which wants an empty frame in front.
struct Envelope {
  Payload routing_id;
  bool delimited = false;
};

struct Peer {
  ClientId id = 0;
  int descriptor = -1;  ///< of its connection, to know it again when that ends
  bool gone = false;
  std::size_t requests = 0;
  std::size_t request_bytes = 0;
  /// Bytes of replies that libzmq has not sent yet; its threads count down.
  std::shared_ptr<std::atomic<std::size_t>> unread = std::make_shared<std::atomic<std::size_t>>(0);
};

struct Request {
  Envelope envelope;
  Payload header;
  Payload payload;
};

/// A payload that counts as unread for as long as anybody holds it.
Payload counted(Payload payload, const std::shared_ptr<std::atomic<std::size_t>>& unread) {
  struct Count {
    Payload payload;
    std::shared_ptr<std::atomic<std::size_t>> unread;
    Count(Payload held, std::shared_ptr<std::atomic<std::size_t>> counter)
        : payload(std::move(held)), unread(std::move(counter)) {
      *unread += payload.size();
    }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    ~Count() { *unread -= payload.size(); }
  };
  auto count = std::make_shared<const Count>(std::move(payload), unread);
  const auto view = count->payload.view();
  return {std::move(count), view};
}

class State : public std::enable_shared_from_this<State> {
 public:
  State(asio::io_context& io, ClientPortOptions options, ClientHandler& handler,
        std::shared_ptr<Socket> socket, std::shared_ptr<Socket> monitor)
      : io_(io),
        options_(std::move(options)),
        handler_(handler),
        socket_(std::move(socket)),
        monitor_(std::move(monitor)) {}

  void start() {
    asio::co_spawn(io_, read_requests(shared_from_this()), asio::detached);
    asio::co_spawn(io_, watch_connections(shared_from_this()), asio::detached);
  }

  void stop() {
    stopped_ = true;
    monitor_->close();
    socket_->close();
  }

 private:
  using Peers = std::unordered_map<std::string, std::shared_ptr<Peer>>;

  static Task<void> read_requests(std::shared_ptr<State> self);
  static Task<void> watch_connections(std::shared_ptr<State> self);
  static Task<void> answer(std::shared_ptr<State> self, std::shared_ptr<Peer> peer,
                           Envelope envelope, std::uint64_t id, client::Request request,
                           Payload payload);

  void read_monitor();
  void on_monitor_event(const Inbound& event);
  void take(Inbound inbound);
  std::shared_ptr<Peer> peer_of(const Payload& routing_id, int descriptor);
  Status admit(const Peer& peer, const Payload& payload) const;
  void reply(const Envelope& envelope, Bytes header, Payload payload = {});
  void reply(const Envelope& envelope, const Peer& peer, std::uint64_t id,
             Result<ClientAnswer> answer);
  void forget(Peers::iterator peer);

  asio::io_context& io_;
  ClientPortOptions options_;
  ClientHandler& handler_;
  std::shared_ptr<Socket> socket_;
  std::shared_ptr<Socket> monitor_;
  Peers peers_;
  ClientId last_client_ = 0;
  bool stopped_ = false;
};

std::string key_of(const Payload& routing_id) {
  return std::string(as_text(routing_id.view()));
}

/// [routing id] [empty, from a REQ] header [payload]
Result<Request> open_envelope(const Inbound& inbound) {
  Request request;
  request.envelope.routing_id = inbound.frames.front();
  auto rest = std::span(inbound.frames).subspan(1);
  request.envelope.delimited = !rest.empty() && rest.front().empty();
  if (request.envelope.delimited) rest = rest.subspan(1);
  if (rest.empty() || rest.size() > 2) {
    return fail(Errc::invalid, "a request is a header frame and a payload frame; " +
                                   std::to_string(rest.size()) + " frames came");
  }
  request.header = rest.front();
  if (rest.size() == 2) request.payload = rest.back();
  return request;
}

Task<void> State::read_requests(std::shared_ptr<State> self) {
  const auto socket = self->socket_;
  for (;;) {
    auto inbound = co_await socket->receive();
    if (!inbound) co_return;
    // A descriptor's number may serve again for the next connection: what ended comes first.
    self->read_monitor();
    self->take(std::move(*inbound));
  }
}

Task<void> State::watch_connections(std::shared_ptr<State> self) {
  const auto monitor = self->monitor_;
  for (;;) {
    auto event = co_await monitor->receive();
    if (!event) co_return;
    self->on_monitor_event(*event);
  }
}

void State::read_monitor() {
  while (auto event = monitor_->try_receive())
    on_monitor_event(*event);
}

/// The first frame is a 16-bit event and a 32-bit value, here the connection's descriptor.
void State::on_monitor_event(const Inbound& event) {
  const auto view = event.frames.front().view();
  std::uint16_t kind = 0;
  std::int32_t descriptor = -1;
  if (view.size() != sizeof kind + sizeof descriptor) return;
  std::memcpy(&kind, view.data(), sizeof kind);
  std::memcpy(&descriptor, view.data() + sizeof kind, sizeof descriptor);
  if (kind != ZMQ_EVENT_DISCONNECTED || descriptor < 0) return;
  for (auto peer = peers_.begin(); peer != peers_.end();) {
    const auto one = peer++;
    if (one->second->descriptor == descriptor) forget(one);
  }
}

/// A client that went unnoticed is noticed by its next reply, which cannot be sent.
void State::forget(Peers::iterator peer) {
  const auto id = peer->second->id;
  peer->second->gone = true;
  peers_.erase(peer);
  handler_.on_client_gone(id);
}

std::shared_ptr<Peer> State::peer_of(const Payload& routing_id, int descriptor) {
  const auto found = peers_.find(key_of(routing_id));
  if (found != peers_.end()) return found->second;
  if (peers_.size() >= options_.clients_max) return nullptr;
  auto peer = std::make_shared<Peer>();
  peer->id = ++last_client_;
  peer->descriptor = descriptor;
  peers_.emplace(key_of(routing_id), peer);
  return peer;
}

Status State::admit(const Peer& peer, const Payload& payload) const {
  if (peer.requests >= options_.requests_per_client_max) {
    return fail(Errc::busy, std::to_string(peer.requests) +
                                " requests of this client are being answered: wait for replies");
  }
  if (peer.request_bytes + payload.size() > options_.client_bytes_max) {
    return fail(Errc::busy, "too many bytes of this client are being stored: wait for replies");
  }
  if (*peer.unread > options_.client_bytes_max) {
    return fail(Errc::busy, "too many replies wait for this client: read them first");
  }
  return {};
}

/// Requests start in the order they came: the executor keeps the order of what is spawned.
void State::take(Inbound inbound) {
  const Envelope sender{inbound.frames.front(), false};
  auto request = open_envelope(inbound);
  if (!request) return reply(sender, codec::encode(0, request.error()));
  const auto& envelope = request->envelope;
  const auto peer = peer_of(envelope.routing_id, inbound.descriptor);
  auto decoded = codec::decode_client_request(request->header.view());
  if (!decoded) {
    return reply(envelope, codec::encode(decoded.error().id, decoded.error().error));
  }
  auto admitted = peer ? admit(*peer, request->payload)
                       : fail(Errc::busy, "this node serves as many clients as it can");
  if (!admitted) return reply(envelope, codec::encode(decoded->id, admitted.error()));
  ++peer->requests;
  peer->request_bytes += request->payload.size();
  asio::co_spawn(io_,
                 answer(shared_from_this(), peer, envelope, decoded->id,
                        std::move(decoded->message), std::move(request->payload)),
                 asio::detached);
}

Task<void> State::answer(std::shared_ptr<State> self, std::shared_ptr<Peer> peer, Envelope envelope,
                         std::uint64_t id, client::Request request, Payload payload) {
  if (self->stopped_) co_return;
  const auto bytes = payload.size();
  auto answered =
      co_await self->handler_.on_client_request(peer->id, std::move(request), std::move(payload));
  --peer->requests;
  peer->request_bytes -= bytes;
  if (self->stopped_) co_return;
  // What a request opened after its client went is dropped as well.
  if (peer->gone) co_return self->handler_.on_client_gone(peer->id);
  self->reply(envelope, *peer, id, std::move(answered));
}

void State::reply(const Envelope& envelope, const Peer& peer, std::uint64_t id,
                  Result<ClientAnswer> answer) {
  if (!answer) return reply(envelope, codec::encode(id, answer.error()));
  auto header = codec::encode(id, answer->message);
  if (header.size() > codec::header_bytes_max) {
    const Error too_large{Errc::invalid, "the answer is too large: ask for less at once"};
    return reply(envelope, codec::encode(id, too_large));
  }
  reply(envelope, std::move(header), counted(std::move(answer->payload), peer.unread));
}

/// A client that cannot be reached, or lets replies pile up unread, is given up.
void State::reply(const Envelope& envelope, Bytes header, Payload payload) {
  std::vector<Payload> frames{envelope.routing_id};
  if (envelope.delimited) frames.emplace_back();
  frames.push_back(Payload::take(std::move(header)));
  frames.push_back(std::move(payload));
  if (socket_->send(frames) == Sent::sent) return;
  const auto peer = peers_.find(key_of(envelope.routing_id));
  if (peer != peers_.end()) forget(peer);
}

class Port : public ClientPort {
 public:
  Port(std::shared_ptr<State> state, std::filesystem::path path)
      : state_(std::move(state)), path_(std::move(path)) {}
  ~Port() override { stop(); }

  /// libzmq leaves the socket's file behind.
  void stop() override {
    if (path_.empty()) return;
    state_->stop();
    std::error_code ignored;
    std::filesystem::remove(std::exchange(path_, {}), ignored);
  }

 private:
  std::shared_ptr<State> state_;
  std::filesystem::path path_;
};

/// A socket left behind by a node that was killed may be replaced; nothing else may.
Status check_socket_path(const std::filesystem::path& path) {
  if (path.string().size() > socket_path_bytes_max) {
    return fail(too_long_for_socket(path));
  }
  std::error_code ignored;
  const auto kind = std::filesystem::status(path, ignored).type();
  if (kind == std::filesystem::file_type::not_found || kind == std::filesystem::file_type::socket) {
    return {};
  }
  return fail(Errc::invalid,
              printable(path.string()) + ": is in the way, and is not a socket; move it elsewhere");
}

void set_options(zmq::socket_t& router) {
  router.set(zmq::sockopt::linger, 0);
  router.set(zmq::sockopt::maxmsgsize, client_frame_bytes_max);
  router.set(zmq::sockopt::router_mandatory, true);
  router.set(zmq::sockopt::sndhwm, unread_replies_max);
  router.set(zmq::sockopt::backlog, 1024);
}

/// Nobody else may connect, not even between the making of the socket file and chmod.
void bind_privately(zmq::socket_t& router, const std::string& endpoint) {
  const auto before = ::umask(0177);
  try {
    router.bind(endpoint);
  } catch (...) {
    ::umask(before);
    throw;
  }
  ::umask(before);
}

void monitor_into(zmq::socket_t& monitor, zmq::socket_t& router) {
  static std::atomic<unsigned> count{0};
  const auto address = "inproc://client-port-" + std::to_string(++count);
  if (zmq_socket_monitor(router.handle(), address.c_str(), ZMQ_EVENT_DISCONNECTED) != 0) {
    throw zmq::error_t();
  }
  monitor.set(zmq::sockopt::linger, 0);
  monitor.set(zmq::sockopt::rcvhwm, 0);  // libzmq drops events at the mark, and one matters
  monitor.connect(address);
}

}  // namespace

Result<std::unique_ptr<ClientPort>> ClientPort::start(asio::io_context& io, BusContext& context,
                                                      const ClientPortOptions& options,
                                                      ClientHandler& handler) {
  const std::filesystem::path path = options.endpoint.starts_with(ipc_scheme)
                                         ? options.endpoint.substr(ipc_scheme.size())
                                         : options.endpoint;
  if (auto checked = check_socket_path(path); !checked) return fail(std::move(checked.error()));
  auto router = Socket::open(io, context, zmq::socket_type::router);
  if (!router) return fail(std::move(router.error()));
  auto monitor = Socket::open(io, context, zmq::socket_type::pair);
  if (!monitor) return fail(std::move(monitor.error()));
  try {
    set_options((*router)->zmq());
    monitor_into((*monitor)->zmq(), (*router)->zmq());
    bind_privately((*router)->zmq(), endpoint_of(path));
  } catch (const zmq::error_t& error) {
    return fail(Errc::io,
                printable(path.string()) + ": clients cannot be served there: " + error.what());
  }
  auto state = std::make_shared<State>(io, options, handler, *router, *monitor);
  state->start();
  return std::make_unique<Port>(std::move(state), path);
}

}  // namespace zerodb
