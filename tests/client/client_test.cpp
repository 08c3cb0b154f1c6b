// The library's blocking client, by its installed headers, against a node that keeps objects in
// memory.
#include "zerodb/client.hpp"

#include <catch2/catch.hpp>
#include <sstream>

#include "tests/bus/fake_node.hpp"
#include "tests/client/content.hpp"

using namespace zerodb;
using test::content_of;
using test::FakeNode;
using test::text_of;

namespace {

Client connected(const FakeNode& node) {
  auto client = Client::connect(node.folder());
  REQUIRE(client);
  return std::move(*client);
}

std::vector<std::string> keys_of(Listing listing) {
  std::vector<std::string> keys;
  for (const auto& entry : listing)
    keys.push_back(entry.key);
  CHECK(listing.status());
  return keys;
}

}  // namespace

TEST_CASE("library: bytes, texts, streams and sources come back as they were put", "[client]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected(node);
  for (const std::size_t size : {0U, 5U, 65'536U, 65'537U, 350'000U}) {
    INFO(size);
    const auto content = content_of(size);
    CHECK(client.put("bytes", content).value().size == size);
    REQUIRE(client.put("text", text_of(content)));
    std::istringstream in(text_of(content));
    REQUIRE(client.put("stream", in, {.media_type = "text/plain"}));
    for (const auto* key : {"bytes", "text", "stream"}) {
      CHECK(client.get(key).value() == content);
      std::ostringstream out;
      CHECK(client.get(key, out).value().size == size);
      CHECK(out.str() == text_of(content));
    }
  }
  CHECK(client.put("hello", "Hello").value().size == 5);
  CHECK(as_text(client.get("hello").value()) == "Hello");
  CHECK(node.look([&] { return node.puts.at("stream").media_type; }) == "text/plain");
}

TEST_CASE("library: a range is all that is handed out of an object", "[client]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected(node);
  const auto content = content_of(350'000);
  REQUIRE(client.put("k", content));
  const Bytes part(content.begin() + 7, content.begin() + 200'001);
  CHECK(client.get("k", ByteRange{.first = 7, .last = 200'000}).value() == part);
  std::ostringstream out;
  REQUIRE(client.get("k", out, ByteRange{.first = 349'999}));
  CHECK(out.str() == text_of(content).substr(349'999));
}

TEST_CASE("library: what cannot be read or written is said, and the client goes on", "[client]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected(node);
  std::istringstream broken("some");
  broken.setstate(std::ios::badbit);
  CHECK(client.put("k", broken).error().code == Errc::io);
  CHECK(node.look([&] { return node.objects.empty(); }));
  CHECK(client.get("k").error().code == Errc::not_found);
  CHECK(client.put("", "x").error().code == Errc::invalid);
  REQUIRE(client.put("k", content_of(300'000)));
  std::ostringstream full;
  full.setstate(std::ios::badbit);
  CHECK(client.get("k", full).error().code == Errc::io);
  CHECK(client.stat("k").value().size == 300'000);
  CHECK(client.remove("k"));
  CHECK(client.stat("k").error().code == Errc::not_found);
}

TEST_CASE("library: nobody there is said with what to do", "[client]") {
  const test::TempDir folder;
  const auto error = Client::connect(folder.path()).error();
  CHECK(error.code == Errc::io);
  CHECK_THAT(error.what, Catch::Contains("zerodb-node run"));
}

TEST_CASE("library: a listing fetches page after page, and only what is gone through", "[client]") {
  FakeNode node;
  node.look([&] {
    for (int i = 0; i < 1'203; ++i)
      node.objects["a/" + std::to_string(10'000 + i)] = Bytes(1);
    node.objects["b"] = Bytes(2);
    return 0;
  });
  auto client = connected(node);
  const auto keys = keys_of(client.list("a/"));
  CHECK(keys.size() == 1'203);
  CHECK(std::is_sorted(keys.begin(), keys.end()));
  CHECK(keys.back() == "a/11202");
  CHECK(node.look([&] { return node.started.size(); }) == 3);
  CHECK(keys_of(client.list("none/")).empty());
  CHECK(keys_of(client.list("b")) == std::vector<std::string>{"b"});

  node.look([&] { return node.started.clear(), 0; });
  auto listing = client.list();
  for (int i = 0; i < 500; ++i)
    REQUIRE(listing.next() != nullptr);
  CHECK(node.look([&] { return node.started.size(); }) == 1);
  CHECK(client.list_page("a/", "a/11200").value().entries.size() == 2);
}

TEST_CASE("library: a listing that breaks off says so", "[client]") {
  FakeNode node;
  node.look([&] {
    for (int i = 0; i < 600; ++i)
      node.objects[std::to_string(10'000 + i)] = Bytes(1);
    return 0;
  });
  auto client = connected(node);
  auto listing = client.list();
  std::size_t count = 0;
  for (const auto& entry : listing) {
    CHECK_FALSE(entry.key.empty());
    if (++count == 1) node.look([&] { return node.failing = "list"; });
  }
  CHECK(count == 500);
  REQUIRE_FALSE(listing.status());
  CHECK(listing.status().error().code == Errc::no_quorum);
  CHECK(listing.next() == nullptr);
}
