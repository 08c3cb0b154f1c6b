#include "node/ticket.hpp"

#include <catch2/catch.hpp>

#include "tests/node/rosters.hpp"

using namespace zerodb;
using namespace zerodb::test;
using Catch::Matchers::Contains;

namespace {

Ticket some_ticket(bool with_owner) {
  Ticket ticket{.mesh = mesh_id(mesh_key()),
                .endpoint = "tcp://node1.example:7710",
                .server = node_id(1),
                .invite = seed_of(9),
                .expires_ms = 1'700'000'000'000,
                .owner = {}};
  if (with_owner) ticket.owner = seed_of(8);
  return ticket;
}

}  // namespace

TEST_CASE("ticket: all of it is read back", "[node]") {
  for (const bool with_owner : {false, true}) {
    const auto text = ticket_text(some_ticket(with_owner));
    CHECK(text.starts_with("zdb1"));
    CHECK(text.find_first_of(" \n+/=") == std::string::npos);
    const auto ticket = parse_ticket(text);
    REQUIRE(ticket);
    CHECK(ticket->mesh == mesh_id(mesh_key()));
    CHECK(ticket->endpoint == "tcp://node1.example:7710");
    CHECK(ticket->server == node_id(1));
    CHECK(to_bytes(ticket->invite.view()) == Bytes(32, 9));
    CHECK(ticket->expires_ms == 1'700'000'000'000);
    REQUIRE(ticket->owner.has_value() == with_owner);
    if (with_owner) CHECK(to_bytes(ticket->owner->view()) == Bytes(32, 8));
  }
}

TEST_CASE("ticket: a line that a terminal or a mail broke up is still whole", "[node]") {
  auto text = ticket_text(some_ticket(true));
  text.insert(40, "\n  ");
  CHECK(parse_ticket("  " + text + "\r\n"));
}

TEST_CASE("ticket: one changed or missing character is noticed", "[node]") {
  const auto text = ticket_text(some_ticket(true));
  for (std::size_t at = 4; at < text.size(); ++at) {
    auto altered = text;
    altered[at] = altered[at] == 'A' ? 'B' : 'A';
    auto missing = text;
    missing.erase(at, 1);
    for (const auto& bad : {altered, missing, text.substr(0, at)}) {
      const auto ticket = parse_ticket(bad);
      REQUIRE_FALSE(ticket);
      CHECK(ticket.error().code == Errc::invalid);
      CHECK_THAT(ticket.error().what, Contains("cut or altered"));
    }
  }
  CHECK_FALSE(parse_ticket(text + "A"));
  CHECK_FALSE(parse_ticket(text + std::string(10'000, 'A')));
}

TEST_CASE("ticket: something else is not taken for one", "[node]") {
  for (const auto* text : {"", "hello", "zdb", "http://example", "ZDB1abc"}) {
    const auto ticket = parse_ticket(text);
    REQUIRE_FALSE(ticket);
    CHECK_THAT(ticket.error().what, Contains("not a ticket"));
  }
}

TEST_CASE("ticket: an expired one says when, and how to get another", "[node]") {
  const auto ticket = some_ticket(false);
  CHECK(check_not_expired(ticket, ticket.expires_ms - 1));
  const auto expired = check_not_expired(ticket, ticket.expires_ms);
  REQUIRE_FALSE(expired);
  CHECK(expired.error().code == Errc::denied);
  CHECK_THAT(expired.error().what, Contains("expired at 2023-11-14T22:13:20"));
  CHECK_THAT(expired.error().what, Contains("zdb invite"));
}
