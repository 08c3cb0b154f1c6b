// The lines people copy: tickets, clients' credentials, links, recovery texts. Whole texts, and
// bodies in a line whose prefix and sums are right, so that what is inside is read.
#include "bus/check_characters.hpp"
#include "bus/client_credential.hpp"
#include "node/share_link.hpp"
#include "node/ticket.hpp"
#include "store/hash.hpp"
#include "store/recovery.hpp"
#include "tests/fuzz/target.hpp"

using namespace zerodb;

namespace {

void try_ticket(std::string_view text) {
  const auto ticket = parse_ticket(text);
  if (!ticket) return;
  const auto again = ticket_text(*ticket);
  const auto same = parse_ticket(again);
  fuzz::require(same && ticket_text(*same) == again, "same ticket");
}

void try_credential(std::string_view text) {
  const auto credential = parse_credential(text);
  if (!credential) return;
  const auto again = credential_text(*credential);
  const auto same = parse_credential(again);
  fuzz::require(same && credential_text(*same) == again, "same credential");
}

void try_recovery(std::string_view text, RecoveryKind kind) {
  const auto seed = seed_from_recovery_text(text, kind);
  if (!seed) return;
  const auto again = seed_from_recovery_text(recovery_text(*seed, kind), kind);
  fuzz::require(again && as_text(again->view()) == as_text(seed->view()), "same seed");
}

std::string ticket_around(ByteView body) {
  auto bytes = to_bytes(body);
  const auto sum = blake2b_256("zerodb ticket v1", {body});
  bytes.insert(bytes.end(), sum.begin(), sum.begin() + 4);
  return "zdb1" + to_base64url(bytes);
}

std::string credential_around(ByteView bytes) {
  const auto body = to_base64url(bytes);
  const auto sum =
      to_base64url(ByteView(blake2b_256("zerodb client v1", {as_bytes(body)})).first(6));
  return std::string(credential_prefix) + body + "." + sum + check_characters(body + sum);
}

std::string link_around(ByteView body) {
  return "zdbshare1-" + to_base64url(fuzz::sign_body("zerodb share v1", body));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto [which, rest] = fuzz::choose({data, size}, 8);
  const auto text = as_text(rest);
  if (which == 0) try_ticket(text);
  if (which == 1) try_ticket(ticket_around(rest));
  if (which == 2) try_credential(text);
  if (which == 3) try_credential(credential_around(rest));
  if (which == 4) (void)parse_share_link(text);
  if (which == 5) (void)parse_share_link(link_around(rest));
  if (which == 6) try_recovery(text, RecoveryKind::owner);
  if (which == 7) try_recovery(text, RecoveryKind::mesh);
  return 0;
}
