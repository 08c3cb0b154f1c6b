// What members hear from each other: header and signature, and a manifest within.
#include "bus/broadcast.hpp"
#include "bus/codec.hpp"
#include "tests/fuzz/target.hpp"

using namespace zerodb;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView header(data, size);
  const auto decoded = codec::decode_broadcast(header);
  if (!decoded) return 0;
  const auto encoded = codec::encode(decoded->first, decoded->second);
  const auto again = codec::decode_broadcast(encoded);
  fuzz::require(again && codec::encode(again->first, again->second) == encoded, "same broadcast");

  // As it would be heard of a member that signs it.
  const auto wire = fuzz::sign_body("zerodb broadcast v1", header);
  BroadcastOpener opener(decoded->first.from, fuzz::known_key().public_key());
  const auto frames = {Payload::copy_of(as_bytes("p/000/")), Payload::copy_of(header),
                       Payload::copy_of(ByteView(wire).last(Signature::size))};
  (void)opener.open(frames, [](const broadcast::Message&) { return true; });
  return 0;
}
