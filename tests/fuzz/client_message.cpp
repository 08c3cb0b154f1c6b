// Headers that clients and nodes send each other: requests, replies and events.
#include "bus/codec.hpp"
#include "tests/fuzz/target.hpp"

using namespace zerodb;

namespace {

void try_request(ByteView header) {
  const auto request = codec::decode_client_request(header);
  if (!request) return;
  const auto encoded = codec::encode(request->id, request->message);
  const auto again = codec::decode_client_request(encoded);
  fuzz::require(again && codec::encode(again->id, again->message) == encoded, "same request");
}

void try_reply(ByteView header) {
  const auto reply = codec::decode_client_reply(header);
  if (!reply || !reply->message) return;
  const auto encoded = codec::encode(reply->id, *reply->message);
  const auto again = codec::decode_client_reply(encoded);
  fuzz::require(again && again->message && codec::encode(again->id, *again->message) == encoded,
                "same reply");
}

void try_event(ByteView header) {
  const auto event = codec::decode_published(header);
  if (!event) return;
  const auto encoded = codec::encode(*event);
  const auto again = codec::decode_published(encoded);
  fuzz::require(again && codec::encode(*again) == encoded, "same event");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto [which, header] = fuzz::choose({data, size}, 3);
  if (which == 0) try_request(header);
  if (which == 1) try_reply(header);
  if (which == 2) try_event(header);
  return 0;
}
