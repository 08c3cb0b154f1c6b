// Manifests, and what is computed from the numbers in them.
#include "store/manifest.hpp"
#include "store/blob_format.hpp"
#include "tests/fuzz/target.hpp"

using namespace zerodb;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteView wire(data, size);
  const auto manifest = SignedManifest::trusted(wire);
  const auto verified = SignedManifest::verify(wire);
  if (!manifest) {
    fuzz::require(!verified, "what is no manifest is not signed");
    return 0;
  }
  fuzz::require(ByteView(manifest->wire()).size() == size, "the bytes are kept");
  const auto& body = manifest->manifest();
  const auto sealed = blob_format::sealed_bytes_of(body);
  fuzz::require(sealed >= body.size, "sealed bytes do not overflow");
  if (!body.is_tombstone() && body.chunk_count > 0) {
    const auto last = body.chunk_count - 1;
    const auto end = last * (body.chunk_bytes + chunk_overhead_bytes) +
                     blob_format::sealed_chunk_size_at(body, last);
    fuzz::require(end == sealed, "chunks add up");
  }
  static const OwnerKeys keys(Seed{});
  (void)open_private_part(keys, body);
  return 0;
}
