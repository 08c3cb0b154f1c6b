#pragma once
// The reply that belongs to a request, taken out of all that a node may say.

#include <string>
#include <variant>

#include "bus/client_message.hpp"
#include "store/result.hpp"

namespace zerodb {

/// `invalid` if the node answered with another reply than `Reply`.
template <class Reply>
Result<Reply> expect_reply(Result<client::Reply> reply) {
  if (!reply) return fail(std::move(reply.error()));
  auto* message = std::get_if<Reply>(&*reply);
  if (message == nullptr) {
    return fail(Errc::invalid, "the node gave another answer than '" + std::string(Reply::name) +
                                   "': is it of another version?");
  }
  return std::move(*message);
}

}  // namespace zerodb
