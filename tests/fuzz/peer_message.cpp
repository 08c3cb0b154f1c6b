// Headers that members send each other: requests and replies.
#include "bus/codec.hpp"
#include "tests/fuzz/target.hpp"

using namespace zerodb;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto [which, header] = fuzz::choose({data, size}, 2);
  if (which == 0) {
    const auto request = codec::decode_peer_request(header);
    if (!request) return 0;
    const auto encoded = codec::encode(request->id, request->message);
    const auto again = codec::decode_peer_request(encoded);
    fuzz::require(again && codec::encode(again->id, again->message) == encoded, "same request");
  } else {
    const auto reply = codec::decode_peer_reply(header);
    if (!reply || !reply->message) return 0;
    const auto encoded = codec::encode(reply->id, *reply->message);
    const auto again = codec::decode_peer_reply(encoded);
    fuzz::require(again && again->message && codec::encode(again->id, *again->message) == encoded,
                  "same reply");
  }
  return 0;
}
