// The library's client for many requests at once, by its installed headers, against a node that
// keeps objects in memory and holds its answers back as a test asks for.
#include "zerodb/async_client.hpp"

#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <thread>
#include <zmq.hpp>

#include "tests/bus/fake_node.hpp"
#include "tests/client/content.hpp"

using namespace zerodb;
using namespace std::chrono_literals;
using test::content_of;
using test::FakeNode;
using test::TempDir;

namespace {

AsyncClient connected_async(const FakeNode& node, AsyncOptions options = {}) {
  auto client = AsyncClient::connect(node.folder(), options);
  REQUIRE(client);
  return std::move(*client);
}

void hold(FakeNode& node, const std::string& name) {
  node.look([&] { return node.held = name; });
}

/// How many requests of that name have reached the node.
auto count(FakeNode& node, std::string name) {
  return [&node, name = std::move(name)] {
    return std::count(node.started.begin(), node.started.end(), name);
  };
}

template <class T>
bool is_ready(const std::future<T>& future) {
  return future.wait_for(0s) == std::future_status::ready;
}

template <class T>
Error error_of(std::future<Result<T>> future) {
  auto result = future.get();
  if (result) FAIL("it succeeded");
  return std::move(result.error());
}

std::string key_of(std::size_t index) {
  return "key/" + std::to_string(index);
}

}  // namespace

TEST_CASE("async: objects of every kind of size come back as they were put", "[client]") {
  constexpr std::uint32_t chunk = 1 << 17;
  FakeNode node({.chunk_bytes = chunk, .credit = 4 * chunk});
  auto client = connected_async(node);
  for (const std::size_t size :
       {0U, 1U, 65'535U, 65'536U, 65'537U, chunk - 1, chunk, chunk + 1, 19 * chunk + 5}) {
    INFO(size);
    const auto content = content_of(size);
    CHECK(client.put("k", content, {.media_type = "x/y"}).get().value().size == size);
    CHECK(client.get("k").get().value() == content);
    CHECK(client.stat("k").get().value().size == size);
  }
  CHECK(node.look([&] { return node.unanswered_bytes_max; }) <= 4 * chunk);
  CHECK(node.look([&] { return node.puts.at("k").media_type; }) == "x/y");
  const auto content = client.get("k").get().value();
  const auto part = client.get("k", ByteRange{.first = 5, .last = 8}).get().value();
  CHECK(part == Bytes(content.begin() + 5, content.begin() + 9));
  CHECK(client.list_page("").get().value().entries.size() == 1);
  CHECK(client.remove("k").get());
  CHECK(error_of(client.get("k")).code == Errc::not_found);
}

TEST_CASE("async: many requests are under way on one connection", "[client]") {
  FakeNode node;
  auto client = connected_async(node);
  hold(node, "put");
  std::vector<std::future<Result<Stored>>> puts;
  for (std::size_t i = 0; i < 200; ++i)
    puts.push_back(client.put(key_of(i), content_of(i)));
  CHECK(node.eventually([&] { return count(node, "put")() == 200; }));
  CHECK(std::none_of(puts.begin(), puts.end(), is_ready<Result<Stored>>));
  CHECK(client.list_page("").get());  // what is not held overtakes
  node.release();
  for (auto& put : puts)
    CHECK(put.get());
  CHECK(node.look([&] { return node.objects.size(); }) == 200);
  CHECK(node.look([&] { return node.seen.size(); }) == 1);
}

TEST_CASE("async: a call beyond the limit waits until another has ended", "[client]") {
  FakeNode node;
  const auto options = GENERATE(AsyncOptions{.requests_max = 2}, AsyncOptions{.bytes_max = 250});
  auto client = connected_async(node, options);
  hold(node, "put");
  auto first = client.put("a", content_of(100));
  auto second = client.put("b", content_of(100));
  CHECK(node.eventually([&] { return count(node, "put")() == 2; }));
  std::atomic<bool> made = false;
  auto third = std::async(std::launch::async, [&] {
    auto put = client.put("c", content_of(100));
    made = true;
    return put.get();
  });
  CHECK(third.wait_for(50ms) == std::future_status::timeout);
  CHECK_FALSE(made);
  node.release();
  CHECK(first.get());
  CHECK(second.get());
  CHECK(third.get());
}

TEST_CASE("async: what is asked of a put goes with it", "[client]") {
  FakeNode node;
  auto client = connected_async(node);
  const PutOptions options{.media_type = "text/plain",
                           .mtime_ms = 7,
                           .attributes = {{"a", "b"}},
                           .if_version = 3,
                           .if_absent = true};
  CHECK(client.put("k", content_of(10), options).get());
  const auto put = node.look([&] { return node.puts.at("k"); });
  CHECK(put.media_type == options.media_type);
  CHECK(put.mtime_ms == options.mtime_ms);
  CHECK(put.attributes == options.attributes);
  CHECK(put.if_version == options.if_version);
  CHECK(put.if_absent == true);
}

TEST_CASE("async: one content larger than the limit is taken alone", "[client]") {
  FakeNode node;
  auto client = connected_async(node, {.bytes_max = 1'000});
  CHECK(client.put("k", content_of(100'000)).get());
}

TEST_CASE("async: a callback may make the next request, and never waits", "[client]") {
  FakeNode node;
  auto client = connected_async(node, {.requests_max = 1});
  std::promise<void> done;
  std::atomic<int> rounds = 0;
  std::vector<Errc> refused;
  std::function<void(Result<Stored>)> next = [&](Result<Stored> stored) {
    CHECK(stored);
    if (++rounds == 20) return done.set_value();
    client.put("k", content_of(10), {}, next);
    client.stat("k", [&](Result<ObjectInfo> info) { refused.push_back(info.error().code); });
  };
  client.put("k", content_of(10), {}, next);
  REQUIRE(done.get_future().wait_for(10s) == std::future_status::ready);
  CHECK(refused == std::vector<Errc>(19, Errc::busy));
}

TEST_CASE("async: a callback has the room of its request, whoever else waits for some",
          "[client]") {
  FakeNode node;
  auto client = connected_async(node, {.requests_max = 1});
  hold(node, "stat");
  std::promise<Result<ObjectInfo>> chained;
  std::promise<Result<ObjectInfo>> other;
  const auto waiting = other.get_future().share();
  client.stat("k", [&](Result<ObjectInfo>) {
    waiting.wait_for(50ms);  // let it take what it can
    client.stat("k", [&](Result<ObjectInfo> info) { chained.set_value(std::move(info)); });
  });
  CHECK(node.eventually([&] { return count(node, "stat")() == 1; }));
  std::thread asking([&] { other.set_value(client.stat("k").get()); });
  CHECK(waiting.wait_for(50ms) == std::future_status::timeout);
  node.release();
  CHECK(error_of(chained.get_future()).code == Errc::not_found);
  CHECK(waiting.get().error().code == Errc::not_found);
  asking.join();
}

TEST_CASE("async: callbacks that ask again do not keep a client from its end", "[client]") {
  FakeNode node;
  std::atomic<int> failed = 0;
  std::function<void(Result<ObjectInfo>)> again;
  {
    auto client = connected_async(node);
    again = [&](Result<ObjectInfo> info) {
      if (info.error().code == Errc::io) ++failed;
      client.stat("k", again);
    };
    for (int i = 0; i < 10; ++i)
      client.stat("k", again);
    CHECK(node.eventually([&] { return count(node, "stat")() > 20; }));
    hold(node, "stat");
    CHECK(node.eventually([&] { return node.waiting == 10; }));
  }
  CHECK(failed == 10);
}

TEST_CASE("async: what a hung node does not even take is given up, too", "[client]") {
  TempDir folder;
  zmq::context_t context;
  zmq::socket_t hung(context, zmq::socket_type::router);
  hung.set(zmq::sockopt::linger, 0);
  hung.set(zmq::sockopt::rcvhwm, 1);
  hung.bind("ipc://" + (folder.path() / "client.sock").string());
  const AsyncOptions options{
      .connection = {.answer_timeout = 300ms}, .requests_max = 3000, .bytes_max = 100'000'000};
  auto client = AsyncClient::connect(folder.path(), options);
  REQUIRE(client);
  std::vector<std::future<Result<Stored>>> puts;
  for (int i = 0; i < 3000; ++i)
    puts.push_back(client->put("k", content_of(10'000)));
  const auto deadline = std::chrono::steady_clock::now() + 30s;
  for (auto& put : puts) {
    REQUIRE(put.wait_until(deadline) == std::future_status::ready);
    CHECK(error_of(std::move(put)).code == Errc::timeout);
  }
}

TEST_CASE("async: signals are for the program's own threads", "[client]") {
  FakeNode node;
  auto client = connected_async(node);
  std::promise<bool> blocked;
  client.stat("k", [&](Result<ObjectInfo>) {
    sigset_t now;
    ::pthread_sigmask(SIG_BLOCK, nullptr, &now);
    blocked.set_value(sigismember(&now, SIGTERM) == 1);
  });
  CHECK(blocked.get_future().get());
}

TEST_CASE("async: a client that goes away fails what is under way", "[client]") {
  FakeNode node({.chunk_bytes = 100'000});
  std::vector<std::future<Result<Bytes>>> gets;
  {
    auto client = connected_async(node);
    REQUIRE(client.put("large", content_of(300'000)).get());
    hold(node, "get_data");
    for (int i = 0; i < 10; ++i)
      gets.push_back(client.get("large"));
    CHECK(node.eventually([&] { return count(node, "get_data")() > 3; }));
  }
  for (auto& get : gets) {
    REQUIRE(is_ready(get));
    CHECK(error_of(std::move(get)).what == "the client was closed");
  }
  node.release();
  CHECK(node.eventually([&] { return !node.gone.empty(); }));
}

TEST_CASE("async: a client that goes away in mid-put leaves nothing", "[client]") {
  FakeNode node({.chunk_bytes = 100'000});
  std::vector<std::future<Result<Stored>>> puts;
  {
    auto client = connected_async(node);
    hold(node, "put_data");
    for (int i = 0; i < 20; ++i)
      puts.push_back(client.put("k", content_of(300'000)));
    CHECK(node.eventually([&] { return count(node, "put_data")() > 3; }));
  }
  for (auto& put : puts) {
    REQUIRE(is_ready(put));
    CHECK(error_of(std::move(put)).code == Errc::io);
  }
  node.release();
  CHECK(node.eventually([&] { return !node.gone.empty(); }));
  CHECK(node.look([&] { return node.objects.empty(); }));
}

TEST_CASE("async: a node that stops fails what is under way, and is found again", "[client]") {
  FakeNode node;
  auto client = connected_async(node);
  REQUIRE(client.put("k", content_of(10)).get());
  hold(node, "get");
  std::vector<std::future<Result<Bytes>>> gets;
  for (int i = 0; i < 5; ++i)
    gets.push_back(client.get("k"));
  CHECK(node.eventually([&] { return count(node, "get")() == 5; }));
  node.stop();
  for (auto& get : gets) {
    const auto error = error_of(std::move(get));
    CHECK(error.code == Errc::io);
    CHECK_THAT(error.what, Catch::Contains("zerodb-node run"));
  }
  CHECK(error_of(client.stat("k")).code == Errc::io);
  hold(node, "");
  node.start();
  const auto end = std::chrono::steady_clock::now() + 20s;
  auto found = client.stat("k").get();
  while (!found && std::chrono::steady_clock::now() < end)
    found = client.stat("k").get();
  CHECK(found);
}

TEST_CASE("async: a node that says nothing for too long is given up", "[client]") {
  FakeNode node;
  auto client = connected_async(node, {.connection = {.answer_timeout = 300ms}});
  hold(node, "stat");
  CHECK(error_of(client.stat("k")).code == Errc::timeout);
  node.release();
  CHECK(error_of(client.stat("k")).code == Errc::not_found);
}

TEST_CASE("async: an object too large for memory is refused, and what fits of it comes",
          "[client]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected_async(node, {.object_bytes_max = 200'000});
  const auto content = content_of(300'000);
  REQUIRE(client.put("k", content).get());
  const auto error = error_of(client.get("k"));
  CHECK(error.code == Errc::invalid);
  CHECK_THAT(error.what, Catch::Contains("300000"));
  const Bytes part(content.begin(), content.begin() + 200'000);
  CHECK(client.get("k", ByteRange{.first = 0, .last = 199'999}).get().value() == part);
  CHECK(node.eventually([&] { return count(node, "get_end")() == 4; }));
}

TEST_CASE("async: few large puts are open with the node at once", "[client]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected_async(node);
  hold(node, "put_data");
  std::vector<std::future<Result<Stored>>> puts;
  for (std::size_t i = 0; i < 20; ++i)
    puts.push_back(client.put(key_of(i), content_of(150'000)));
  CHECK(node.eventually([&] { return count(node, "put_data")() == 16; }));
  CHECK(node.look(count(node, "put")) == 8);
  node.release();
  for (auto& put : puts)
    CHECK(put.get());
  CHECK(node.look([&] { return node.objects.at(key_of(19)).size(); }) == 150'000);
}

TEST_CASE("async: short answers and failures of the node reach the caller", "[client]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected_async(node);
  REQUIRE(client.put("small", content_of(10)).get());
  REQUIRE(client.put("large", content_of(250'000)).get());
  node.look([&] { return node.short_answers = true; });
  CHECK(error_of(client.get("small")).code == Errc::corrupt);
  CHECK(error_of(client.get("large")).code == Errc::corrupt);
  node.look([&] { return node.failing = "put_data"; });
  CHECK(error_of(client.put("large", content_of(250'000))).code == Errc::no_quorum);
  CHECK(node.eventually([&] { return node.started.back() == "put_abort"; }));
  CHECK(error_of(client.put("", content_of(1))).code == Errc::invalid);
}

TEST_CASE("async: several threads use one client", "[client]") {
  FakeNode node({.chunk_bytes = 100'000});
  auto client = connected_async(node, {.requests_max = 10});
  std::atomic<int> right = 0;
  {
    std::vector<std::jthread> threads;
    for (std::size_t thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        for (std::size_t i = 0; i < 50; ++i) {
          const auto key = std::to_string(thread) + "/" + std::to_string(i);
          const auto content = content_of(i * 2'000 + thread);
          const auto stored = client.put(key, content).get();
          const auto got = client.get(key).get();
          right += stored && got && *got == content ? 1 : 0;
        }
      });
    }
  }
  CHECK(right == 200);
}
