#include "node/client_rights.hpp"

#include <catch2/catch.hpp>
#include <set>

using namespace zerodb;
using Catch::Contains;

namespace {

/// Every alternative of a variant, default-made.
template <class... Messages>
std::vector<std::variant<Messages...>> every(const std::variant<Messages...>&) {
  return {std::variant<Messages...>(Messages{})...};
}

std::string_view name_of(const client::Request& request) {
  return std::visit([](const auto& one) { return one.name; }, request);
}

using Names = std::set<std::string_view>;

/// What belongs to a transfer that was allowed when it began.
const Names of_transfers{"put_data", "put_end", "put_abort", "put_resume", "get_data", "get_end"};

/// Commands that these rights allow, of all there are.
Names allowed_by(const ClientRights& rights) {
  Names names;
  for (const auto& request : every(client::Request())) {
    if (check_allowed(rights, request)) names.insert(name_of(request));
  }
  return names;
}

Names with_transfers(Names names) {
  names.insert(of_transfers.begin(), of_transfers.end());
  return names;
}

bool allowed(const ClientRights& rights, client::Request request) {
  const auto checked = check_allowed(rights, request);
  if (!checked) CHECK(checked.error().code == Errc::denied);
  return checked.has_value();
}

}  // namespace

TEST_CASE("rights: of all commands, each right allows its own and no other", "[node]") {
  CHECK(allowed_by({}) == of_transfers);
  CHECK(allowed_by({.read = {""}}) == with_transfers({"get", "stat", "list", "events"}));
  CHECK(allowed_by({.write = {""}}) == with_transfers({"put"}));
  CHECK(allowed_by({.remove = {""}}) == with_transfers({"delete"}));
  CHECK(allowed_by({.read = {""}, .write = {""}, .remove = {""}}) ==
        with_transfers({"get", "stat", "list", "events", "put", "delete"}));
}

TEST_CASE("rights: what administers is denied by name, whatever the rights", "[node]") {
  const ClientRights all{.read = {""}, .write = {""}, .remove = {""}};
  for (const auto& request : every(client::Request())) {
    const Names known = with_transfers({"get", "stat", "list", "events", "put", "delete"});
    if (known.contains(name_of(request))) continue;
    const auto checked = check_allowed(all, request);
    REQUIRE_FALSE(checked);
    CHECK(checked.error().code == Errc::denied);
    CHECK_THAT(checked.error().what, Contains(std::string(name_of(request))));
  }
}

TEST_CASE("rights: a prefix covers the keys that begin with it, byte by byte", "[node]") {
  const ClientRights rights{.read = {"cam/", "x"}, .write = {"cam/in/"}, .remove = {"cam/in/old"}};
  CHECK(allowed(rights, client::Get{.key = "cam/1"}));
  CHECK(allowed(rights, client::Stat{.key = "x"}));
  CHECK_FALSE(allowed(rights, client::Get{.key = "cam"}));
  CHECK_FALSE(allowed(rights, client::Stat{.key = "Cam/1"}));
  CHECK_FALSE(allowed(rights, client::Get{.key = ""}));
  CHECK(allowed(rights, client::Put{.key = "cam/in/1"}));
  CHECK_FALSE(allowed(rights, client::Put{.key = "cam/1"}));
  CHECK_FALSE(allowed(rights, client::Put{.key = "x"}));
  CHECK(allowed(rights, client::Delete{.key = "cam/in/older"}));
  CHECK_FALSE(allowed(rights, client::Delete{.key = "cam/in/new"}));
  // Keys are names and never paths.
  CHECK_FALSE(allowed(rights, client::Get{.key = "other/../cam/1"}));
  CHECK(allowed(rights, client::Get{.key = "cam/../other"}));
}

TEST_CASE("rights: a listing must lie within what may be read", "[node]") {
  const ClientRights rights{.read = {"photos/2026/"}};
  CHECK(allowed(rights, client::List{.prefix = "photos/2026/"}));
  CHECK(allowed(rights, client::List{.prefix = "photos/2026/may"}));
  CHECK_FALSE(allowed(rights, client::List{.prefix = "photos/"}));
  CHECK_FALSE(allowed(rights, client::List{.prefix = ""}));
  CHECK_FALSE(allowed({.write = {""}, .remove = {""}}, client::List{.prefix = ""}));
}

TEST_CASE("rights: events are followed below what may be read, and not durably", "[node]") {
  const ClientRights rights{.read = {"photos/"}};
  CHECK(allowed(rights, client::Events{.since = 0, .prefix = "photos/may/"}));
  CHECK_FALSE(allowed(rights, client::Events{.since = 0}));
  CHECK_FALSE(allowed(rights, client::Events{.durable = "thumbs", .prefix = "photos/"}));
}

TEST_CASE("rights: there must be some, and not too many", "[node]") {
  CHECK(check_rights({.read = {""}}));
  CHECK(check_rights({.remove = {std::string(1024, 'x')}}));
  CHECK_FALSE(check_rights({}));
  CHECK_FALSE(check_rights({.read = {std::string(1025, 'x')}}));
  CHECK_FALSE(check_rights({.read = {"\xff"}}));
  CHECK(check_rights({.write = std::vector<std::string>(64, "x")}));
  CHECK_FALSE(check_rights({.write = std::vector<std::string>(65, "x")}));
  CHECK_FALSE(check_rights({.write = std::vector<std::string>(5, std::string(1000, 'x'))}));
}
