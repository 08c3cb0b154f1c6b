#include "bus/zap.hpp"

#include <asio/co_spawn.hpp>
#include <chrono>

#include "bus/curve.hpp"
#include "bus/handshake.hpp"
#include "bus/or_terminate.hpp"

namespace zerodb {
namespace {

constexpr const char* zap_endpoint = "inproc://zeromq.zap.01";
constexpr std::chrono::seconds proof_time_max{15};

/// A request of RFC 27: version, request id, domain, address, identity, mechanism, credentials.
constexpr std::size_t request_frames = 7;

struct Reply {
  std::string_view code;
  std::string_view text;
  std::string user_id;
};

Reply reply_to(const Inbound& request, const Authenticator& authenticator) {
  if (request.frames.size() != request_frames || as_text(request.frames[0].view()) != "1.0") {
    return {"500", "not a request of ZAP 1.0", {}};
  }
  const auto key = NodeId::from(request.frames[6].view());
  if (as_text(request.frames[5].view()) != "CURVE" || !key) return {"400", "CURVE only", {}};
  switch (authenticator(as_text(request.frames[2].view()), *key)) {
    case Verdict::allow:
      return {"200", "welcome", key->hex()};
    case Verdict::later:
      return {"300", "not now", {}};
    case Verdict::refuse:
      break;
  }
  return {"400", "not a member", {}};
}

enum class Proof { refused, let_in, nothing };

/// What became of a stranger's handshake. ZAP is answered meanwhile.
Proof await_verdict(ZapHandler& zap, HandshakeWatch& watch) {
  const auto deadline = std::chrono::steady_clock::now() + proof_time_max;
  while (std::chrono::steady_clock::now() < deadline) {
    zap.answer_pending();
    while (const auto event = watch.next()) {
      if (*event == Handshake::refused) return Proof::refused;
      if (*event == Handshake::accepted) return Proof::let_in;
    }
    std::array<zmq::pollitem_t, 2> items{
        {{zap.zmq().handle(), 0, ZMQ_POLLIN, 0}, {watch.socket().handle(), 0, ZMQ_POLLIN, 0}}};
    zmq_poll(items.data(), static_cast<int>(items.size()), 50);
  }
  return Proof::nothing;
}

struct Door {
  zmq::socket_type visitor;  ///< the type that may speak with the server's
  std::string endpoint;
  NodeId server_key;
};

Result<Proof> knock_as_stranger(BusContext& context, ZapHandler& zap, const Door& door) {
  zmq::socket_t stranger(context.zmq(), door.visitor);
  auto watch = HandshakeWatch::start(context.zmq(), stranger);
  if (!watch) return fail(std::move(watch.error()));
  auto ready = set_limits(stranger, {});
  if (ready) ready = use_curve(stranger, CurvePair::generate(), door.server_key);
  if (ready) ready = connect_to(stranger, door.endpoint);
  if (!ready) return fail(std::move(ready.error()));
  return await_verdict(zap, *watch);
}

}  // namespace

Result<std::shared_ptr<ZapHandler>> ZapHandler::start(asio::io_context& io, BusContext& context,
                                                      Authenticator authenticator) {
  auto socket = Socket::open(io, context, zmq::socket_type::rep);
  if (!socket) return fail(std::move(socket.error()));
  auto limited = set_limits((*socket)->zmq(), {});
  if (!limited) return fail(std::move(limited.error()));
  auto bound = listen_on((*socket)->zmq(), zap_endpoint);
  if (!bound) return fail("this process has another ZAP handler", std::move(bound.error()));
  return std::make_shared<ZapHandler>(std::move(*socket), std::move(authenticator));
}

ZapHandler::ZapHandler(std::shared_ptr<Socket> socket, Authenticator authenticator)
    : socket_(std::move(socket)), authenticator_(std::move(authenticator)) {}

void ZapHandler::run(asio::io_context& io) {
  asio::co_spawn(io, serve(shared_from_this()), or_terminate);
}

asio::awaitable<void> ZapHandler::serve(std::shared_ptr<ZapHandler> self) {
  while (auto request = co_await self->socket_->receive())
    self->answer(*request);
}

void ZapHandler::answer_pending() {
  while (const auto request = socket_->try_receive())
    answer(*request);
}

void ZapHandler::answer(const Inbound& request) {
  const auto reply = reply_to(request, authenticator_);
  const auto id = request.frames.size() > 1 ? request.frames[1] : Payload();
  const std::array<Payload, 6> frames{
      Payload::copy_of(as_bytes("1.0")),         id,
      Payload::copy_of(as_bytes(reply.code)),    Payload::copy_of(as_bytes(reply.text)),
      Payload::copy_of(as_bytes(reply.user_id)), Payload()};
  socket_->send(frames);  // to a peer that hung up meanwhile: nothing to be done
}

Status prove_refusal(BusContext& context, ZapHandler& zap, zmq::socket_t& server,
                     const NodeId& server_key) {
  // On a port of its own, so that nobody else can knock before the proof.
  auto endpoint = listen_on(server, "tcp://127.0.0.1:*");
  if (!endpoint) return fail(std::move(endpoint.error()));
  try {
    const bool publishes = server.get(zmq::sockopt::socket_type) == zmq::socket_type::pub;
    const Door door{
        .visitor = publishes ? zmq::socket_type::sub : zmq::socket_type::dealer,
        .endpoint = *endpoint,
        .server_key = server_key,
    };
    auto proof = knock_as_stranger(context, zap, door);
    server.unbind(*endpoint);
    if (!proof) return fail(std::move(proof.error()));
    if (*proof == Proof::refused) return {};
    if (*proof == Proof::let_in) {
      return fail(Errc::denied, "self-test: a stranger's key was let in, so nothing would be safe");
    }
    return fail(Errc::denied, "self-test: the refusal of a stranger's key was not seen in time");
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, std::string("self-test: ") + error.what());
  }
}

}  // namespace zerodb
