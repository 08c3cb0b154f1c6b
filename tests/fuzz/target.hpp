#pragma once
// What the fuzz targets share. A target is given bytes from anywhere: it must come back without a
// crash, a leak, undefined behaviour or an exception, and what it accepted must encode to what
// decodes to the same again.

#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "store/bytes.hpp"
#include "store/keys.hpp"

namespace zerodb::fuzz {

/// A finding: libFuzzer keeps the input.
inline void require(bool holds, std::string_view what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %.*s\n", static_cast<int>(what.size()), what.data());
  std::abort();
}

/// The first byte chooses what the rest is decoded as.
struct Choice {
  unsigned which = 0;
  ByteView rest;
};
inline Choice choose(ByteView data, unsigned among) {
  if (data.empty()) return {};
  return {.which = data[0] % among, .rest = data.subspan(1)};
}

/// The same key in every run, for what has to be signed to be looked at at all.
inline SigningKey known_key() {
  return SigningKey(Seed{});
}

/// body ‖ signature of the known key over domain ‖ body.
inline Bytes sign_body(std::string_view domain, ByteView body) {
  auto message = to_bytes(as_bytes(domain));
  message.insert(message.end(), body.begin(), body.end());
  const auto signature = known_key().sign(message);
  auto wire = to_bytes(body);
  wire.insert(wire.end(), signature.view().begin(), signature.view().end());
  return wire;
}

}  // namespace zerodb::fuzz

/// libFuzzer calls this with each input.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
