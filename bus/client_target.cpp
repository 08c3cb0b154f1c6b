#include "bus/client_target.hpp"

#include "bus/client_message.hpp"
#include "bus/client_socket_path.hpp"
#include "bus/curve.hpp"

namespace zerodb {

namespace {

constexpr int dead_path_ms = 30'000;

/// Large enough for what CURVE adds.
constexpr std::int64_t remote_frame_bytes_max = client_frame_bytes_max + 1024;

}  // namespace

ClientTarget ClientTarget::local(std::filesystem::path folder) {
  return ClientTarget(std::move(folder));
}

ClientTarget ClientTarget::remote(const ClientCredential& credential) {
  return ClientTarget(
      ClientCredential{.name = credential.name,
                       .endpoint = credential.endpoint,
                       .server = credential.server,
                       .keys = {credential.keys.public_key, credential.keys.secret.clone()}});
}

Status ClientTarget::check() const {
  return credential_ ? Status{} : check_client_socket(folder_);
}

Status ClientTarget::connect(zmq::socket_t& socket) const {
  if (!credential_) {
    socket.set(zmq::sockopt::linger, 0);
    socket.set(zmq::sockopt::maxmsgsize, client_frame_bytes_max);
    return connect_to(socket, endpoint_of(*client_socket_path(folder_)));
  }
  auto ready = set_limits(socket, {.frame_bytes_max = remote_frame_bytes_max});
  // No keepalive is sent while something waits for its acknowledgement: of a path that went dead
  // meanwhile TCP itself would tell after a quarter of an hour.
  if (ready) socket.set(zmq::sockopt::tcp_maxrt, dead_path_ms);
  if (ready) ready = use_curve(socket, credential_->keys, credential_->server);
  if (ready) ready = connect_to(socket, credential_->endpoint);
  return ready;
}

std::string ClientTarget::shown() const {
  return credential_ ? "the node at " + printable(credential_->endpoint)
                     : "the node on " + printable(folder_.string());
}

Error ClientTarget::not_there() const {
  if (!credential_) return no_node_on(folder_);
  return {Errc::io, "cannot reach " + shown() +
                        ": is it running, with client_listen set, and is the address right?"};
}

Error ClientTarget::silent_at_first() const {
  if (credential_) return not_there();
  return {Errc::io, shown() + " does not answer: is it stopped or hung?"};
}

Error ClientTarget::stopped() const {
  if (credential_) return {Errc::io, "the connection to " + shown() + " broke: is it running?"};
  const auto folder = printable(folder_.string());
  return {Errc::io, shown() + " stopped; start it with: zerodb-node run --data " + folder};
}

Error ClientTarget::said_nothing(std::chrono::seconds time) const {
  return {Errc::timeout, shown() + " said nothing for " + std::to_string(time.count()) + " s"};
}

Error ClientTarget::refused() const {
  const auto name = credential_ ? " of '" + printable(credential_->name) + "'" : "";
  return {Errc::denied, shown() + " refuses this credential" + name +
                            ": it may be revoked or expired; ask for a new one, made there with: "
                            "zdb client add"};
}

Error ClientTarget::another_node() const {
  if (!credential_) return not_there();
  return {Errc::denied, shown() + " is not the one that gave this credential: its key differs"};
}

ClientOptions bounded(ClientOptions options) {
  using std::chrono::milliseconds;
  constexpr milliseconds most{std::numeric_limits<int>::max()};
  options.connect_timeout = std::clamp(options.connect_timeout, milliseconds(0), most);
  options.answer_timeout = std::clamp(options.answer_timeout, milliseconds(0), most);
  return options;
}

}  // namespace zerodb
