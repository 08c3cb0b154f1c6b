#include "node/client_keys.hpp"

#include <catch2/catch.hpp>

#include "store/hash.hpp"

using namespace zerodb;
using Catch::Contains;

namespace {

const bool keys_crypto_ready = initialise_crypto().has_value();

ClientKey some_client(const std::string& name) {
  return {.name = name,
          .key = random_id<NodeId>(),
          .rights = {.read = {"", "a/"}, .write = {"b/"}, .remove = {}},
          .created_ms = 1000,
          .expires_ms = {}};
}

ClientKey until(std::uint64_t expires_ms, const std::string& name) {
  auto client = some_client(name);
  client.expires_ms = expires_ms;
  return client;
}

}  // namespace

TEST_CASE("client keys: what was kept is read back", "[node]") {
  ClientKeys keys;
  const auto one = until(5000, "one");
  const auto two = some_client("two");
  REQUIRE(keys.add(two, 0));
  REQUIRE(keys.add(one, 0));
  const auto read = ClientKeys::decode(keys.encode());
  REQUIRE(read);
  const auto page = read->page("", 10);
  REQUIRE(page.size() == 2);
  CHECK(page[0]->name == "one");
  CHECK(page[0]->key == one.key);
  CHECK(page[0]->rights == one.rights);
  CHECK(page[0]->created_ms == 1000);
  CHECK(page[0]->expires_ms == 5000);
  CHECK_FALSE(page[1]->expires_ms);
  CHECK(read->page("one", 10).size() == 1);
  CHECK(read->page("", 1).size() == 1);
  CHECK(ClientKeys::decode({})->size() == 0);
}

TEST_CASE("client keys: a file that is damaged anywhere is refused whole", "[node]") {
  ClientKeys keys;
  REQUIRE(keys.add(some_client("one"), 0));
  const auto file = keys.encode();
  for (std::size_t i = 0; i < file.size(); ++i) {
    auto altered = file;
    altered[i] ^= 0x10;
    INFO(i);
    CHECK_FALSE(ClientKeys::decode(altered));
    if (i > 0) CHECK_FALSE(ClientKeys::decode(ByteView(file).first(i)));
  }
  auto newer = file;
  newer[8] = 2;
  CHECK(ClientKeys::decode(newer).error().code == Errc::invalid);
}

TEST_CASE("client keys: a name stands for one credential", "[node]") {
  ClientKeys keys;
  REQUIRE(keys.add(until(5000, "one"), 0));
  const auto again = keys.add(some_client("one"), 4999);
  REQUIRE_FALSE(again);
  CHECK(again.error().code == Errc::invalid);
  CHECK_THAT(again.error().what, Contains("a client 'one' already"));
  // The name of one that has expired is free.
  const auto fresh = some_client("one");
  CHECK(keys.add(fresh, 5000));
  CHECK(keys.size() == 1);
  CHECK(keys.check(fresh.key, 5000));
  for (const std::string name : {"", "a b", "a/b", "\n"})
    CHECK_FALSE(keys.add(some_client(name), 0));
  CHECK_FALSE(keys.add(some_client(std::string(65, 'x')), 0));
}

TEST_CASE("client keys: only who is neither revoked nor expired may come in", "[node]") {
  ClientKeys keys;
  const auto client = until(5000, "one");
  REQUIRE(keys.add(client, 0));
  CHECK((*keys.check(client.key, 4999))->name == "one");
  const auto expired = keys.check(client.key, 5000);
  REQUIRE_FALSE(expired);
  CHECK(expired.error().code == Errc::denied);
  CHECK_THAT(expired.error().what, Contains("expired at 1970-01-01T00:00:05"));
  const auto revoked = keys.revoke("one");
  REQUIRE(revoked);
  CHECK(revoked->key == client.key);
  CHECK_THAT(keys.check(client.key, 0).error().what, Contains("revoked"));
  CHECK(keys.revoke("one").error().code == Errc::not_found);
}

TEST_CASE("client keys: their number and size are bounded, and the expired make room", "[node]") {
  ClientKeys keys;
  REQUIRE(keys.add(until(1000, "first"), 0));
  for (std::size_t i = 1; i < client_keys_max; ++i)
    REQUIRE(keys.add(some_client("c" + std::to_string(i)), 0));
  CHECK(keys.add(some_client("more"), 0).error().code == Errc::full);
  CHECK(keys.add(some_client("more"), 1000));
  CHECK(keys.size() == client_keys_max);
  CHECK(ClientKeys::decode(keys.encode())->size() == client_keys_max);

  ClientKeys large;
  Status added;
  std::size_t count = 0;
  for (; added && count < client_keys_max; ++count) {
    auto client = some_client("c" + std::to_string(count));
    client.rights.read = std::vector<std::string>(4, std::string(1000, 'x'));
    added = large.add(std::move(client), 0);
  }
  REQUIRE_FALSE(added);
  CHECK(added.error().code == Errc::full);
  CHECK(large.encode().size() < client_keys_bytes_max);
  CHECK(large.revoke("c0"));
  CHECK(large.add(some_client("c0"), 0));
}
