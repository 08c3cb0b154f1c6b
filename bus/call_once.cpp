#include <zmq.hpp>

#include "bus/codec.hpp"
#include "bus/curve.hpp"
#include "bus/handshake.hpp"
#include "bus/zmq_links.hpp"

namespace zerodb {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t only_id = 1;

/// Who has been reached gets so many times longer to answer: it may be waiting for its disk.
constexpr int answer_patience = 4;

/// What is known while no answer has come.
struct Progress {
  int connections = 0;  ///< that were made
  bool broken_off = false;
};

Error no_answer(const std::string& endpoint, const Progress& progress) {
  const std::string who = "the node at " + printable(endpoint);
  if (progress.connections > 0) return {Errc::timeout, who + " did not answer in time"};
  if (progress.broken_off) {
    return {Errc::denied, who + " is not the one expected: its key differs"};
  }
  return {Errc::timeout, "cannot reach " + who + "; is it running, and is the address right?"};
}

/// The answer, if it has come.
std::optional<Result<PeerAnswer>> receive_answer(zmq::socket_t& socket) {
  zmq::message_t header;
  zmq::message_t payload;
  if (!socket.recv(header, zmq::recv_flags::dontwait)) return {};
  if (!header.more() || !socket.recv(payload, zmq::recv_flags::dontwait) || payload.more()) {
    return fail(Errc::invalid, "the answer has not two frames");
  }
  const auto bytes = [](const zmq::message_t& message) {
    return ByteView(static_cast<const std::uint8_t*>(message.data()), message.size());
  };
  auto decoded = codec::decode_peer_reply(bytes(header));
  if (!decoded) return fail("the answer is malformed", std::move(decoded.error().error));
  if (!decoded->message) return fail(std::move(decoded->message.error()));
  return PeerAnswer{std::move(*decoded->message), Payload::copy_of(bytes(payload))};
}

/// True if the other side said no.
bool is_refused(HandshakeWatch& watch, Progress& progress) {
  while (const auto event = watch.next()) {
    if (*event == Handshake::refused) return true;
    progress.connections += *event == Handshake::accepted ? 1 : 0;
    progress.broken_off = progress.broken_off || *event == Handshake::failed;
  }
  return false;
}

void send(zmq::socket_t& socket, const Bytes& header) {
  socket.send(zmq::buffer(header), zmq::send_flags::dontwait | zmq::send_flags::sndmore);
  socket.send(zmq::message_t(), zmq::send_flags::dontwait);
}

/// Asks once on each connection: the answer may have been lost with the one before.
Result<PeerAnswer> ask(zmq::socket_t& socket, HandshakeWatch& watch, const Bytes& header,
                       const std::string& endpoint, Milliseconds timeout) {
  const auto begin = Clock::now();
  Progress progress;
  send(socket, header);
  for (int sent = 1;;) {
    if (is_refused(watch, progress)) {
      return fail(Errc::denied, "the node at " + printable(endpoint) +
                                    " refuses this key: the ticket is not, or no longer, valid");
    }
    if (auto answer = receive_answer(socket)) return std::move(*answer);
    for (; sent < progress.connections; ++sent)
      send(socket, header);
    const auto deadline = begin + (progress.connections > 0 ? answer_patience : 1) * timeout;
    const auto left = std::chrono::duration_cast<Milliseconds>(deadline - Clock::now());
    if (left.count() <= 0) return fail(no_answer(endpoint, progress));
    std::array<zmq::pollitem_t, 2> items{
        {{socket.handle(), 0, ZMQ_POLLIN, 0}, {watch.socket().handle(), 0, ZMQ_POLLIN, 0}}};
    zmq_poll(items.data(), static_cast<int>(items.size()), static_cast<long>(left.count()));
  }
}

}  // namespace

Result<PeerAnswer> call_once(const std::string& endpoint, const NodeId& server,
                             const CurvePair& keys, const peer::Request& request,
                             Milliseconds timeout) {
  auto context = BusContext::open({.io_threads = 1, .max_sockets = 16});
  if (!context) return fail(std::move(context.error()));
  try {
    zmq::socket_t socket(context->zmq(), zmq::socket_type::dealer);
    auto watch = HandshakeWatch::start(context->zmq(), socket);
    if (!watch) return fail(std::move(watch.error()));
    auto ready = set_limits(socket, {});
    if (ready) ready = use_curve(socket, keys, server);
    if (ready) ready = connect_to(socket, endpoint);
    if (!ready) return fail(std::move(ready.error()));
    return ask(socket, *watch, codec::encode(only_id, request), endpoint, timeout);
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, "cannot ask the node at " + printable(endpoint) + ": " + error.what());
  }
}

}  // namespace zerodb
