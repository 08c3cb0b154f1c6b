// Rosters and node records, signed with the key that they name so that their bodies are read.
#include "node/roster.hpp"
#include "node/roster_change.hpp"
#include "tests/fuzz/target.hpp"

using namespace zerodb;

namespace {

void try_roster(ByteView body) {
  const auto roster = SignedRoster::verify(fuzz::sign_body("zerodb roster v1", body), MeshId{});
  if (!roster) return;
  const auto again = SignedRoster::sign(roster->roster(), fuzz::known_key());
  fuzz::require(SignedRoster::verify(again.wire(), roster->roster().mesh).has_value(),
                "a roster signed again is one");
}

void try_record(ByteView body) {
  Roster roster;
  const auto key = fuzz::known_key().public_key();
  roster.members.push_back({.node = *NodeId::from(key.view()), .sign_key = key, .name = "n"});
  const auto record = SignedRecord::verify(fuzz::sign_body("zerodb record v1", body), roster);
  if (!record) return;
  const auto again = SignedRecord::sign(record->record(), fuzz::known_key());
  fuzz::require(SignedRecord::verify(again.wire(), roster).has_value(),
                "a record signed again is one");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto [which, body] = fuzz::choose({data, size}, 3);
  if (which == 0) try_roster(body);
  if (which == 1) try_record(body);
  if (which == 2) (void)SignedRoster::verify(body, MeshId{});  // its own signature
  return 0;
}
