#include "bus/client_port.hpp"

#include <asio/co_spawn.hpp>
#include <atomic>
#include <filesystem>
#include <map>
#include <unordered_map>

#include "bus/client_account.hpp"
#include "bus/client_listener.hpp"
#include "bus/codec.hpp"
#include "bus/or_broken_off.hpp"
#include "bus/or_terminate.hpp"

namespace zerodb {

namespace {

/// Where a reply goes, and whether the client is a REQ, which wants an empty frame in front.
struct Envelope {
  Payload routing_id;
  bool delimited = false;
};

struct Peer {
  ClientId id = 0;
  ClientIdentity identity;
  int descriptor = -1;  ///< of its connection, to know it again when that ends
  bool gone = false;
  std::shared_ptr<ClientAccount> account;
};

struct Request {
  Payload header;
  Payload payload;
};

/// A port serves a handler that others serve too, so their clients have distinct numbers.
ClientId next_client() {
  static std::atomic<ClientId> last{0};
  return ++last;
}

class State : public std::enable_shared_from_this<State> {
 public:
  State(asio::io_context& io, ClientPortOptions options, ClientHandler& handler,
        ClientListener listener, bool remote)
      : io_(io),
        options_(std::move(options)),
        handler_(handler),
        socket_(std::move(listener.router)),
        watch_(std::move(listener.watch)),
        remote_(remote) {}

  void start() {
    asio::co_spawn(io_, read_requests(shared_from_this()), or_terminate);
    watch_->run(io_, [this](int descriptor) { on_end(descriptor); });
  }

  void stop() {
    stopped_ = true;
    for (const auto& [id, peer] : peers_)
      peer->account->close();
    for (const auto& [key, account] : accounts_)
      account->close();
    watch_->close();
    socket_->close();
  }

 private:
  using Peers = std::unordered_map<std::string, std::shared_ptr<Peer>>;
  using PeerResult = Result<std::shared_ptr<Peer>>;

  static Task<void> read_requests(std::shared_ptr<State> self);
  static Task<void> answer(std::shared_ptr<State> self, std::shared_ptr<Peer> peer,
                           Envelope envelope, std::uint64_t id, client::Request request,
                           Payload payload, std::size_t bytes);

  void on_end(int descriptor);
  void take(Inbound inbound);
  std::optional<ClientIdentity> identity_of(const Inbound& inbound) const;
  PeerResult peer_of(const Inbound& inbound, const ClientIdentity& identity);
  std::shared_ptr<ClientAccount> account_of(const ClientIdentity& identity);
  PeerResult admit(const Inbound& inbound, const ClientIdentity& identity, std::size_t bytes);
  void reply(const Envelope& envelope, Bytes header);
  void reply(const Envelope& envelope, Payload header, Payload payload);
  void reply(const Envelope& envelope, const Peer& peer, std::uint64_t id,
             Result<ClientAnswer> answer);
  void forget(Peers::iterator peer);

  asio::io_context& io_;
  ClientPortOptions options_;
  ClientHandler& handler_;
  std::shared_ptr<Socket> socket_;
  std::shared_ptr<ConnectionWatch> watch_;
  const bool remote_;  ///< clients have come in with a credential
  Peers peers_;
  std::map<NodeId, std::shared_ptr<ClientAccount>> accounts_;  ///< of remote clients
  bool stopped_ = false;
};

std::string key_of(const Payload& routing_id) {
  return std::string(as_text(routing_id.view()));
}

/// Of [routing id] [empty, from a REQ] header [payload].
Envelope envelope_of(const Inbound& inbound) {
  const auto& frames = inbound.frames;
  return {.routing_id = frames.front(), .delimited = frames.size() > 1 && frames[1].empty()};
}

Result<Request> open_envelope(const Inbound& inbound, const Envelope& envelope) {
  const auto rest = std::span(inbound.frames).subspan(envelope.delimited ? 2 : 1);
  if (rest.empty() || rest.size() > 2) {
    return fail(Errc::invalid, "a request is a header frame and a payload frame; " +
                                   std::to_string(rest.size()) + " frames came");
  }
  return Request{.header = rest.front(), .payload = rest.size() == 2 ? rest.back() : Payload()};
}

Task<void> State::read_requests(std::shared_ptr<State> self) {
  const auto socket = self->socket_;
  for (;;) {
    auto inbound = co_await socket->receive();
    if (!inbound) co_return;
    // A descriptor's number may serve again for the next connection: what ended comes first.
    self->watch_->catch_up();
    self->take(std::move(*inbound));
  }
}

void State::on_end(int descriptor) {
  for (auto peer = peers_.begin(); peer != peers_.end();) {
    const auto one = peer++;
    if (one->second->descriptor == descriptor) forget(one);
  }
}

/// A client that went unnoticed is noticed by its next reply, which cannot be sent.
void State::forget(Peers::iterator found) {
  const auto peer = found->second;
  peer->gone = true;
  peers_.erase(found);
  peer->account->drop_connection();
  const auto& credential = peer->identity.credential;
  if (credential && peer->account->is_forgettable()) accounts_.erase(*credential);
  handler_.on_client_gone(peer->id);
}

/// Nothing of a remote client that has not proved who it is, which cannot be.
std::optional<ClientIdentity> State::identity_of(const Inbound& inbound) const {
  if (!remote_) return ClientIdentity{};
  const auto key = NodeId::from_hex(inbound.user_id);
  if (!key) return {};
  return ClientIdentity{*key};
}

std::shared_ptr<ClientAccount> State::account_of(const ClientIdentity& identity) {
  if (!identity.credential) return std::make_shared<ClientAccount>(io_, options_);
  const auto found = accounts_.find(*identity.credential);
  if (found != accounts_.end()) return found->second;
  if (accounts_.size() >= options_.clients_max) {
    std::erase_if(accounts_, [](const auto& one) { return one.second->is_forgettable(); });
  }
  if (accounts_.size() >= options_.clients_max) return nullptr;
  auto account = std::make_shared<ClientAccount>(io_, options_);
  accounts_.emplace(*identity.credential, account);
  return account;
}

/// Routing ids are chosen by clients: one that another client had is nobody we know.
State::PeerResult State::peer_of(const Inbound& inbound, const ClientIdentity& identity) {
  const auto route = key_of(inbound.frames.front());
  const auto found = peers_.find(route);
  if (found != peers_.end() && found->second->identity == identity) return found->second;
  if (found != peers_.end()) forget(found);
  const auto account = peers_.size() < options_.clients_max ? account_of(identity) : nullptr;
  if (!account) return fail(Errc::busy, "this node serves as many clients as it can");
  if (account->connections() >= options_.connections_per_client_max) {
    return fail(Errc::busy, "this client has as many connections as it may: close some");
  }
  account->add_connection();
  auto peer = std::make_shared<Peer>(Peer{.id = next_client(),
                                          .identity = identity,
                                          .descriptor = inbound.descriptor,
                                          .account = account});
  peers_.emplace(route, peer);
  return peer;
}

State::PeerResult State::admit(const Inbound& inbound, const ClientIdentity& identity,
                               std::size_t bytes) {
  auto peer = peer_of(inbound, identity);
  if (!peer) return peer;
  if (auto admitted = (*peer)->account->admit(bytes); !admitted) {
    return fail(std::move(admitted.error()));
  }
  return peer;
}

/// Requests start in the order they came: accounts keep the order of what waits, the executor of
/// what is spawned.
void State::take(Inbound inbound) {
  const auto identity = identity_of(inbound);
  if (!identity) return;
  const auto envelope = envelope_of(inbound);
  auto request = open_envelope(inbound, envelope);
  if (!request) return reply(envelope, codec::encode(0, request.error()));
  const auto bytes = request->header.size() + request->payload.size();
  const auto peer = admit(inbound, *identity, bytes);
  auto decoded = codec::decode_client_request(request->header.view());
  if (!decoded) {
    return reply(envelope, codec::encode(decoded.error().id, decoded.error().error));
  }
  if (!peer) return reply(envelope, codec::encode(decoded->id, peer.error()));
  struct Ask {
    std::uint64_t id;
    client::Request request;
    Payload payload;
  };
  auto ask = std::make_shared<Ask>(
      Ask{decoded->id, std::move(decoded->message), std::move(request->payload)});
  (*peer)->account->begin(bytes, [self = shared_from_this(), peer = *peer, envelope, ask, bytes] {
    asio::co_spawn(self->io_,
                   answer(self, peer, envelope, ask->id, std::move(ask->request),
                          std::move(ask->payload), bytes),
                   or_terminate);
  });
}

Task<void> State::answer(std::shared_ptr<State> self, std::shared_ptr<Peer> peer, Envelope envelope,
                         std::uint64_t id, client::Request request, Payload payload,
                         std::size_t bytes) {
  if (self->stopped_) co_return;
  if (peer->gone) co_return peer->account->end(bytes);  // while it waited
  auto handle = [&] {
    return self->handler_.on_client_request(peer->id, peer->identity, std::move(request),
                                            std::move(payload));
  };
  auto answered = co_await or_broken_off(handle);
  peer->account->end(bytes);
  if (self->stopped_) co_return;
  // The next client to choose this one's routing id must not get the answer.
  if (self->remote_) self->watch_->catch_up();
  // What a request opened after its client went is dropped as well.
  if (peer->gone) co_return self->handler_.on_client_gone(peer->id);
  self->reply(envelope, *peer, id, std::move(answered));
}

void State::reply(const Envelope& envelope, const Peer& peer, std::uint64_t id,
                  Result<ClientAnswer> answer) {
  auto header = answer ? codec::encode(id, answer->message) : codec::encode(id, answer.error());
  auto payload = answer ? std::move(answer->payload) : Payload();
  if (header.size() > codec::header_bytes_max) {
    const Error too_large{Errc::invalid, "the answer is too large: ask for less at once"};
    header = codec::encode(id, too_large);
    payload = {};
  }
  auto& account = *peer.account;  // listings are headers, and large
  reply(envelope, account.counted(Payload::take(std::move(header))),
        account.counted(std::move(payload)));
}

void State::reply(const Envelope& envelope, Bytes header) {
  reply(envelope, Payload::take(std::move(header)), {});
}

/// A client that cannot be reached, or lets replies pile up unread, is given up. The former has
/// ended, and its descriptor may be another's by now; what libzmq holds for the latter ends with
/// its connection.
void State::reply(const Envelope& envelope, Payload header, Payload payload) {
  std::vector<Payload> frames{envelope.routing_id};
  if (envelope.delimited) frames.emplace_back();
  frames.push_back(std::move(header));
  frames.push_back(std::move(payload));
  const auto sent = socket_->send(frames);
  if (sent == Sent::sent) return;
  const auto peer = peers_.find(key_of(envelope.routing_id));
  if (peer == peers_.end()) return;
  const auto descriptor = peer->second->descriptor;
  forget(peer);
  if (sent == Sent::full) watch_->hang_up(descriptor);
}

class Port : public ClientPort {
 public:
  Port(std::shared_ptr<State> state, std::string endpoint, std::filesystem::path path)
      : state_(std::move(state)), endpoint_(std::move(endpoint)), path_(std::move(path)) {}
  ~Port() override { stop(); }

  std::string endpoint() const override { return endpoint_; }

  /// libzmq leaves the socket's file behind.
  void stop() override {
    if (std::exchange(stopped_, true)) return;
    state_->stop();
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove(path_, ignored);
  }

 private:
  std::shared_ptr<State> state_;
  std::string endpoint_;
  std::filesystem::path path_;
  bool stopped_ = false;
};

std::unique_ptr<ClientPort> serve(asio::io_context& io, const ClientPortOptions& options,
                                  ClientHandler& handler, ClientListener listener, bool remote) {
  const auto endpoint = listener.endpoint;
  const auto path = listener.path;
  auto state = std::make_shared<State>(io, options, handler, std::move(listener), remote);
  state->start();
  return std::make_unique<Port>(std::move(state), endpoint, path);
}

}  // namespace

Result<std::unique_ptr<ClientPort>> ClientPort::start(asio::io_context& io, BusContext& context,
                                                      const ClientPortOptions& options,
                                                      ClientHandler& handler) {
  auto listener = listen_locally(io, context, options.endpoint);
  if (!listener) return fail(std::move(listener.error()));
  return serve(io, options, handler, std::move(*listener), false);
}

Result<std::unique_ptr<ClientPort>> ClientPort::start_remote(asio::io_context& io,
                                                             BusContext& context, ZapHandler& zap,
                                                             const CurvePair& keys,
                                                             const ClientPortOptions& options,
                                                             ClientHandler& handler) {
  auto listener = listen_remotely(io, context, zap, keys, options.endpoint);
  if (!listener) return fail(std::move(listener.error()));
  return serve(io, options, handler, std::move(*listener), true);
}

}  // namespace zerodb
