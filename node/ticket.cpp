#include "node/ticket.hpp"

#include <algorithm>

#include "node/host_port.hpp"
#include "node/text_line.hpp"
#include "store/clock.hpp"
#include "store/fields.hpp"
#include "store/hash.hpp"

namespace zerodb {

namespace {

constexpr std::string_view prefix = "zdb1";
constexpr std::string_view checksum_domain = "zerodb ticket v1";
constexpr std::size_t checksum_bytes = 4;
constexpr std::size_t ticket_text_max = 4096;

/// What the text encodes. Secrets pass through plain memory here and are wiped after.
struct TicketBody {
  MeshId mesh;
  std::string endpoint;
  NodeId server;
  Bytes invite;
  std::uint64_t expires_ms = 0;
  std::optional<Bytes> owner;

  ~TicketBody() {
    wipe(invite);
    if (owner) wipe(*owner);
  }

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("mesh", self.mesh);
    field("endpoint", self.endpoint);
    field("server", self.server);
    field("invite", self.invite);
    field("expires_ms", self.expires_ms);
    field("owner", self.owner);
  }
};

std::array<std::uint8_t, 32> checksum_of(ByteView body) {
  return blake2b_256(checksum_domain, {body});
}

auto cut_or_altered() {
  return fail(Errc::invalid,
              "the ticket is cut or altered: copy the whole line that zdb invite printed");
}

Result<Ticket> ticket_of(ByteView bytes) {
  auto body = fields::decode<TicketBody>(bytes);
  if (!body) return cut_or_altered();
  auto invite = CurveSecret::from(body->invite);
  if (!invite || !parse_endpoint(body->endpoint)) return cut_or_altered();
  Ticket ticket{.mesh = body->mesh,
                .endpoint = body->endpoint,
                .server = body->server,
                .invite = std::move(*invite),
                .expires_ms = body->expires_ms};
  if (body->owner) {
    auto owner = Seed::from(*body->owner);
    if (!owner) return cut_or_altered();
    ticket.owner = std::move(*owner);
  }
  return ticket;
}

}  // namespace

std::string ticket_text(const Ticket& ticket) {
  TicketBody body{.mesh = ticket.mesh,
                  .endpoint = ticket.endpoint,
                  .server = ticket.server,
                  .invite = to_bytes(ticket.invite.view()),
                  .expires_ms = ticket.expires_ms};
  if (ticket.owner) body.owner = to_bytes(ticket.owner->view());
  auto bytes = fields::encode(body);
  const auto checksum = checksum_of(bytes);
  bytes.insert(bytes.end(), checksum.begin(), checksum.begin() + checksum_bytes);
  auto text = std::string(prefix) + to_base64url(bytes);
  wipe(bytes);
  return text;
}

Result<Ticket> parse_ticket(std::string_view text) {
  const auto line = without_spaces(text.substr(0, ticket_text_max));
  if (!line.starts_with(prefix)) {
    return fail(Errc::invalid, "that is not a ticket: a ticket begins with '" +
                                   std::string(prefix) + "' and is printed by zdb invite");
  }
  auto bytes = from_base64url(std::string_view(line).substr(prefix.size()));
  if (!bytes || bytes->size() <= checksum_bytes) return cut_or_altered();
  const auto body = ByteView(*bytes).first(bytes->size() - checksum_bytes);
  const auto checksum = checksum_of(body);
  if (!std::ranges::equal(ByteView(*bytes).last(checksum_bytes),
                          ByteView(checksum).first(checksum_bytes))) {
    return cut_or_altered();
  }
  auto ticket = ticket_of(body);
  wipe(*bytes);
  return ticket;
}

Status check_not_expired(const Ticket& ticket, std::uint64_t now_ms) {
  if (now_ms < ticket.expires_ms) return {};
  return fail(Errc::denied, "the ticket expired at " + to_string(Version::at(ticket.expires_ms)) +
                                " (this machine's clock says " + to_string(Version::at(now_ms)) +
                                "): ask for a new one with: zdb invite");
}

}  // namespace zerodb
