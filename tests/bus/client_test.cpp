// The blocking client against a node that keeps objects in memory, over real ipc sockets.
#include "bus/client.hpp"

#include <catch2/catch.hpp>
#include <future>
#include <zmq.hpp>

#include "tests/bus/fake_node.hpp"

using namespace zerodb;
using test::FakeNode;
using test::TempDir;

namespace {

Bytes content_of(std::size_t size) {
  Bytes content(size);
  for (std::size_t i = 0; i < size; ++i) {
    content[i] = static_cast<std::uint8_t>(i * 31 + i / 256 + i / 65536);
  }
  return content;
}

/// Gives at most `step` bytes at a time.
ByteSource source_of(const Bytes& content, std::size_t step) {
  return [view = ByteView(content), step](MutableBytes to) mutable -> Result<std::size_t> {
    const auto count = std::min({to.size(), view.size(), step});
    std::copy_n(view.begin(), count, to.begin());
    view = view.subspan(count);
    return count;
  };
}

BusClient connected(const FakeNode& node, ClientOptions options = {}) {
  auto client = BusClient::connect(node.folder(), options);
  REQUIRE(client);
  return std::move(*client);
}

template <class T>
Error error_of(const Result<T>& result) {
  REQUIRE_FALSE(result);
  return result.error();
}

}  // namespace

TEST_CASE("client: objects of every kind of size come back as they were put", "[bus]") {
  constexpr std::uint32_t chunk = 1 << 17;
  FakeNode node({.chunk_bytes = chunk, .credit = 4 * chunk});
  auto client = connected(node);
  for (const std::size_t size :
       {0U, 1U, 65'535U, 65'536U, 65'537U, chunk - 1, chunk, chunk + 1, 9 * chunk + 5}) {
    INFO(size);
    const auto content = content_of(size);
    const auto stored = client.put("known", content);
    REQUIRE(stored);
    CHECK(stored->size == size);
    CHECK(client.get("known").value() == content);
    REQUIRE(client.put("unknown", source_of(content, 10'000), {}));
    CHECK(client.get("unknown").value() == content);
  }
}

TEST_CASE("client: small objects take one request, whether or not their size is known", "[bus]") {
  FakeNode node;
  auto client = connected(node);
  const auto content = content_of(65'536);
  REQUIRE(client.put("a", content));
  REQUIRE(client.put("b", source_of(content, 1'000), {}));
  REQUIRE(client.get("a"));
  CHECK(node.look([&] { return node.started; }) == std::vector<std::string>{"put", "put", "get"});
}

TEST_CASE("client: what is told of an object reaches the node", "[bus]") {
  FakeNode node;
  auto client = connected(node);
  const Bytes content(3);
  const auto stored = client.put(
      "k", content, {.media_type = "text/plain", .mtime_ms = -7, .attributes = {{"a", "b"}}});
  REQUIRE(stored);
  CHECK(stored->copies == 2);
  CHECK(stored->missing == std::vector<std::string>{"node3"});
  const auto put = node.look([&] { return node.puts.at("k"); });
  CHECK(put.media_type == "text/plain");
  CHECK(put.mtime_ms == -7);
  CHECK(put.attributes->at("a") == "b");
}

TEST_CASE("client: a put keeps within the node's credit and still has chunks under way", "[bus]") {
  constexpr std::uint32_t chunk = 100'000;
  FakeNode node({.chunk_bytes = chunk, .credit = 3 * chunk + 1});
  auto client = connected(node);
  const auto content = content_of(20 * chunk + 1);
  node.look([&] { node.held = "put_data"; });
  auto put = std::async(std::launch::async, [&] { return client.put("k", content); });
  CHECK(node.eventually([&] { return node.unanswered_bytes == 3 * chunk; }));
  node.release();
  const auto outcome = put.get();
  REQUIRE((outcome ? std::string() : outcome.error().what) == "");
  CHECK(node.look([&] { return node.unanswered_bytes_max; }) <= 3 * chunk + 1);
  CHECK(node.look([&] { return node.objects.at("k"); }) == content);
}

TEST_CASE("client: credit for less than a chunk slows a put but does not stop it", "[bus]") {
  FakeNode node({.chunk_bytes = 100'000, .credit = 1});
  auto client = connected(node);
  const auto content = content_of(500'000);
  REQUIRE(client.put("k", content));
  CHECK(node.look([&] { return node.unanswered_bytes_max; }) == 100'000);
}

TEST_CASE("client: a source that fails takes its upload with it", "[bus]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected(node);
  int reads = 0;
  const ByteSource source = [&](MutableBytes to) -> Result<std::size_t> {
    if (++reads > 5) return fail(Errc::io, "the disk has gone");
    return to.size();
  };
  CHECK(error_of(client.put("k", source, {})).what == "the disk has gone");
  CHECK(node.eventually([&] { return node.started.back() == "put_abort"; }));
  CHECK(node.look([&] { return node.objects.empty(); }));
  CHECK(client.status());
}

TEST_CASE("client: a source shorter than promised is an error, a longer one is cut", "[bus]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected(node);
  const auto content = content_of(250'000);
  for (const std::uint64_t promised : {250'001U, 300'001U}) {
    const auto error = error_of(client.put("k", source_of(content, 70'000), {.size = promised}));
    CHECK(error.code == Errc::invalid);
    CHECK_THAT(error.what, Catch::Contains("changed while it was read"));
  }
  const auto small = content_of(10);
  CHECK_FALSE(client.put("k", source_of(small, 70'000), {.size = 11}));
  CHECK(node.look([&] { return node.objects.empty(); }));
  REQUIRE(client.put("k", source_of(content, 70'000), {.size = 150'000}));
  CHECK(node.look([&] { return node.objects.at("k"); }) == content_of(150'000));
}

TEST_CASE("client: a source that has nothing yet keeps its upload alive", "[bus]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected(node);
  const auto content = content_of(350'000);
  const auto steady = source_of(content, 100'000);
  int calls = 0;
  const ByteSource hesitant = [&](MutableBytes to) -> Result<std::size_t> {
    if (++calls % 2 == 0) return fail(Errc::busy, "nothing yet");
    return steady(to);
  };
  REQUIRE(client.put("k", hesitant, {}));
  CHECK(node.look([&] { return node.objects.at("k"); }) == content);
  CHECK(node.look([&] { return std::ranges::count(node.started, "put_data"); }) > 4);
}

TEST_CASE("client: a put that the node refuses midway ends with the node's reason", "[bus]") {
  FakeNode node({.chunk_bytes = 100'000, .credit = 200'000});
  auto client = connected(node);
  node.look([&] {
    node.failing = "put_data";
    node.failure = {Errc::full, "no space left"};
  });
  const auto error = error_of(client.put("k", content_of(1'000'000)));
  CHECK(error.code == Errc::full);
  CHECK(error.what == "no space left");
  CHECK(node.eventually([&] { return node.started.back() == "put_abort"; }));
  node.look([&] { node.failing = "put_end"; });
  CHECK(error_of(client.put("k", content_of(1'000'000))).code == Errc::full);
}

TEST_CASE("client: ranges, small and large", "[bus]") {
  constexpr std::uint32_t chunk = 100'000;
  FakeNode node({.chunk_bytes = chunk});
  auto client = connected(node);
  const auto content = content_of(10 * chunk);
  REQUIRE(client.put("k", content));
  const auto part = [&](std::uint64_t first, std::optional<std::uint64_t> last) {
    Bytes got;
    const ByteSink sink = [&](ByteView bytes) -> Status {
      got.insert(got.end(), bytes.begin(), bytes.end());
      return {};
    };
    REQUIRE(client.get("k", sink, ByteRange{.first = first, .last = last}));
    const auto end = last ? std::min<std::uint64_t>(*last + 1, content.size()) : content.size();
    return got == to_bytes(ByteView(content).subspan(first, end - first));
  };
  CHECK(part(0, 0));
  CHECK(part(5, 6));
  CHECK(part(chunk - 1, 2 * chunk));
  CHECK(part(chunk + 7, 8 * chunk + 7));
  CHECK(part(3 * chunk, {}));
  CHECK(part(9 * chunk, 20 * chunk));
}

TEST_CASE("client: a sink that fails ends the get and the client goes on", "[bus]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected(node);
  REQUIRE(client.put("k", content_of(3'000'000)));
  const ByteSink sink = [](ByteView) -> Status { return fail(Errc::full, "no room"); };
  CHECK(error_of(client.get("k", sink)).what == "no room");
  CHECK(node.eventually([&] { return node.started.back() == "get_end"; }));
  CHECK(client.get("k").value() == content_of(3'000'000));
}

TEST_CASE("client: a download that the node let go of is taken up where it was", "[bus]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected(node);
  const auto content = content_of(3'000'000);
  REQUIRE(client.put("k", content));
  node.look([&] { node.forget_download_after = 12; });
  CHECK(client.get("k").value() == content);
  CHECK(node.look([&] { return std::ranges::count(node.started, "get"); }) == 2);
}

TEST_CASE("client: a download let go of is not continued with another version", "[bus]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected(node);
  REQUIRE(client.put("k", content_of(3'000'000)));
  node.look([&] {
    node.forget_download_after = 12;
    node.on_forgotten = [&node] { ++node.version; };
  });
  CHECK(error_of(client.get("k")).code == Errc::not_found);
}

TEST_CASE("client: an answer with too few bytes is not taken for the object", "[bus]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected(node);
  REQUIRE(client.put("small", content_of(10)));
  REQUIRE(client.put("large", content_of(300'000)));
  node.look([&] { node.short_answers = true; });
  CHECK(error_of(client.get("small")).code == Errc::corrupt);
  CHECK(error_of(client.get("large")).code == Errc::corrupt);
}

TEST_CASE("client: what does not exist is not found", "[bus]") {
  FakeNode node;
  auto client = connected(node);
  CHECK(error_of(client.get("no")).code == Errc::not_found);
  CHECK(error_of(client.stat("no")).code == Errc::not_found);
  CHECK(error_of(client.remove("no")).code == Errc::not_found);
}

TEST_CASE("client: a key that cannot be is refused before the node is asked", "[bus]") {
  FakeNode node;
  auto client = connected(node);
  for (const auto& key : {std::string(), std::string(1025, 'k'), std::string("\xff")}) {
    CHECK(error_of(client.put(key, Bytes())).code == Errc::invalid);
    CHECK(error_of(client.get(key)).code == Errc::invalid);
    CHECK(error_of(client.stat(key)).code == Errc::invalid);
    CHECK(error_of(client.remove(key)).code == Errc::invalid);
  }
  CHECK(node.look([&] { return node.started.empty(); }));
}

TEST_CASE("client: listings go on where they stopped", "[bus]") {
  FakeNode node;
  auto client = connected(node);
  for (const auto* key : {"a/1", "a/2", "a/3", "b"})
    REQUIRE(client.put(key, Bytes()));
  const auto page = client.list("a/", {}, 2);
  REQUIRE(page);
  CHECK(page->more);
  REQUIRE(page->entries.size() == 2);
  const auto rest = client.list("a/", page->entries.back().key, 2);
  REQUIRE(rest);
  CHECK_FALSE(rest->more);
  REQUIRE(rest->entries.size() == 1);
  CHECK(rest->entries[0].key == "a/3");
}

TEST_CASE("client: what is asked of invites and owners reaches the node", "[bus]") {
  FakeNode node;
  auto client = connected(node);
  CHECK(client.invite({.share_owner = true, .expires_s = 60}).value() == "ticket-60-owner");
  CHECK(client.owner_id().value() == "cd");
  CHECK(client.owner_export().value() == "AAAAA BBBBB");
  CHECK(client.owner_import("AAAAA", true).value() == "replaced:AAAAA");
}

TEST_CASE("client: without a node, what to do is said at once", "[bus]") {
  const TempDir folder;
  const auto refused = [](const std::filesystem::path& path) {
    return error_of(BusClient::connect(path));
  };
  CHECK_THAT(refused(folder.path()).what, Catch::Contains("no node is running on"));
  CHECK_THAT(refused(folder.path()).what, Catch::Contains("zerodb-node run --data"));
  CHECK_THAT(refused(folder / "none").what, Catch::Contains("zerodb-node init --data"));
  const auto longest = refused(folder / std::string(200, 'x'));
  CHECK(longest.code == Errc::invalid);
  CHECK_THAT(longest.what, Catch::Contains("too long for a socket"));
}

TEST_CASE("client: a socket file that nobody serves counts as no node", "[bus]") {
  const TempDir folder;
  const auto path = folder / "client.sock";
  {
    zmq::context_t context;
    zmq::socket_t left(context, zmq::socket_type::router);
    left.bind("ipc://" + path.string());
    std::filesystem::create_hard_link(path, folder / "kept");
  }
  std::filesystem::rename(folder / "kept", path);
  const auto error = error_of(BusClient::connect(folder.path()));
  CHECK(error.code == Errc::io);
  CHECK_THAT(error.what, Catch::Contains("no node is running on"));
}

TEST_CASE("client: a node that stops in the middle is noticed, and its return too", "[bus]") {
  FakeNode node;
  auto client = connected(node);
  node.look([&] { node.held = "put_data"; });
  auto put = std::async(std::launch::async, [&] { return client.put("k", Bytes(9 << 20)); });
  CHECK(node.eventually([&] { return node.unanswered_bytes > 0; }));
  node.stop();
  const auto error = error_of(put.get());
  CHECK(error.code == Errc::io);
  CHECK_THAT(error.what, Catch::Contains("stopped"));
  CHECK(client.lost());
  CHECK_THAT(error_of(client.status()).what, Catch::Contains("no node is running on"));
  node.look([&] { node.held.clear(); });
  node.start();
  CHECK(client.put("k", Bytes(9 << 20)));
  CHECK_FALSE(client.lost());
}

TEST_CASE("client: a node that says nothing is given up after a while", "[bus]") {
  FakeNode node;
  auto client = connected(node, {.answer_timeout = std::chrono::milliseconds(100)});
  node.look([&] { node.held = "status"; });
  CHECK(error_of(client.status()).code == Errc::timeout);
  node.release();
  CHECK(client.status());
}
