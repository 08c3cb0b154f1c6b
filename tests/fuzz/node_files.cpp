// What a node reads of its own disk and of peers' listings besides: lists of clients and invites,
// index entries, events, pages of entries and digests.
#include "node/client_keys.hpp"
#include "node/entry_codec.hpp"
#include "node/invites.hpp"
#include "store/event_log.hpp"
#include "store/hash.hpp"
#include "store/index_key.hpp"
#include "tests/fuzz/target.hpp"

using namespace zerodb;

namespace {

/// The body in a file whose frame is right.
Bytes client_list_around(ByteView body) {
  auto file = to_bytes(as_bytes(std::string_view("zdb-clnt\x01")));
  file.insert(file.end(), body.begin(), body.end());
  const auto sum = blake2b_256("zerodb clients", {file});
  file.insert(file.end(), sum.begin(), sum.end());
  return file;
}

void try_clients(ByteView bytes) {
  const auto clients = ClientKeys::decode(bytes);
  if (!clients) return;
  const auto again = ClientKeys::decode(clients->encode());
  fuzz::require(again && again->encode() == clients->encode(), "same clients");
}

void try_invites(ByteView bytes) {
  const auto invites = Invites::decode(bytes);
  if (!invites) return;
  const auto again = Invites::decode(invites->encode());
  fuzz::require(again && again->encode() == invites->encode(), "same invites");
}

void try_event(ByteView bytes) {
  const auto event = decode_event(1, bytes);
  if (!event) return;
  const auto again = decode_event(1, as_bytes(encode_event(*event)));
  fuzz::require(again && *again == *event, "same event");
}

void try_entries(ByteView bytes) {
  const auto entries = decode_entries(bytes);
  if (!entries) return;
  Bytes encoded;
  for (const auto& entry : *entries)
    append_entry(encoded, entry);
  fuzz::require(as_text(encoded) == as_text(bytes), "same entries");
}

void try_index(ByteView bytes) {
  const auto text = as_text(bytes);
  if (const auto entry = index_key::decode(text)) {
    fuzz::require(index_key::of_entry(*entry) == text, "same index key");
  }
  (void)index_key::decode_blob(text);
  (void)index_key::superseded_key(text);
  (void)index_key::decode_head(text);
  (void)index_key::decode_manifest(text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto [which, rest] = fuzz::choose({data, size}, 8);
  if (which == 0) try_clients(rest);
  if (which == 1) try_clients(client_list_around(rest));
  if (which == 2) try_invites(rest);
  if (which == 3) try_event(rest);
  if (which == 4) try_entries(rest);
  if (which == 5) try_index(rest);
  if (which == 6) (void)decode_digests(rest);
  if (which == 7) (void)decode_sized_digests(rest);
  return 0;
}
