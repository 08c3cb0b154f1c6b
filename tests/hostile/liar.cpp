#include "tests/hostile/liar.hpp"

namespace zerodb::hostile {

Liar::Liar(const DaemonParts& parts, std::vector<std::unique_ptr<Lie>> lies)
    : parts_(parts), lies_(std::move(lies)) {
  parts_.links.set_hello([this] { return hello(); },
                         [this](NodeId from, const peer::Hello::Reply& reply) {
                           parts_.membership.on_hello_answered(from, reply);
                         });
  for (const auto& lie : lies_)
    lie->begin(parts_);
}

peer::Hello Liar::hello() const {
  auto hello = parts_.membership.hello();
  for (const auto& lie : lies_)
    lie->twist_hello(hello);
  return hello;
}

/// A greeting is answered with the same words as it is sent with.
void Liar::twist_greeting(PeerAnswer& answer) const {
  auto* reply = std::get_if<peer::Hello::Reply>(&answer.message);
  if (reply == nullptr) return;
  auto own = hello();
  reply->record = std::move(own.record);
  reply->roster_version = own.roster_version;
  reply->roster_hash = std::move(own.roster_hash);
  reply->records_digest = std::move(own.records_digest);
  reply->working_version = own.working_version;
  reply->settled_version = own.settled_version;
  reply->clean_version = own.clean_version;
  reply->administers = own.administers;
}

Task<Result<PeerAnswer>> Liar::on_request(Caller caller, peer::Request request, Payload payload) {
  for (const auto& lie : lies_)
    lie->hear(request);
  for (const auto& lie : lies_) {
    auto said = co_await lie->answer(caller, request, payload);
    if (said) co_return std::move(*said);
  }
  const auto asked = request;
  auto answer = co_await parts_.node.on_request(caller, std::move(request), std::move(payload));
  if (!answer) co_return answer;
  twist_greeting(*answer);
  for (const auto& lie : lies_)
    lie->twist(asked, *answer);
  co_return answer;
}

bool Liar::is_news(const broadcast::Message& message) const {
  return parts_.node.is_news(message);
}

void Liar::on_broadcast(NodeId from, broadcast::Message message) {
  for (const auto& lie : lies_)
    lie->hear(message);
  parts_.node.on_broadcast(from, std::move(message));
}

}  // namespace zerodb::hostile
