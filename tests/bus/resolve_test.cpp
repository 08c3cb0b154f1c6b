#include "bus/resolve.hpp"

#include <dlfcn.h>
#include <netdb.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

#include "tests/bus/test_node.hpp"

using namespace zerodb;
using test::run;
using test::run_until;
using test::TestNode;

namespace {

/// A host of which the system's resolver says nothing until it is told to.
constexpr std::string_view slow_host = "slow.test";

/// A host that it does not know, without asking anybody.
constexpr std::string_view no_host = "nowhere.invalid";

/// A host with two addresses, of which another one is named first each time.
constexpr std::string_view two_host = "two.test";

class SlowServer {
 public:
  void hold() {
    const std::lock_guard lock(mutex_);
    answers_ = false;
    asked_ = 0;
  }
  void answer() {
    const std::lock_guard lock(mutex_);
    answers_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    asked_ += 1;
    changed_.wait(lock, [this] { return answers_; });
  }
  /// How often, since it holds its answers back.
  int asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int asked_ = 0;
  bool answers_ = false;
};

SlowServer slow_server;
std::atomic<int> times_two_were_asked_for = 0;

/// The member, at a host with that name.
Member renamed(Member member, std::string_view host) {
  for (auto* endpoint : {&member.address->endpoint, &member.address->broadcast_endpoint})
    endpoint->replace(endpoint->find("127.0.0.1"), std::string_view("127.0.0.1").size(), host);
  return member;
}

}  // namespace

/// In place of the system's, for this program and the libraries that it uses.
extern "C" int getaddrinfo(const char* node, const char* service, const addrinfo* hints,
                           addrinfo** result) {
  static const auto real =
      reinterpret_cast<decltype(&getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
  if (node != nullptr && node == no_host) return EAI_NONAME;
  if (node != nullptr && node == two_host) {
    const bool swapped = times_two_were_asked_for++ % 2 == 1;
    addrinfo* other = nullptr;
    const auto failed = real(swapped ? "127.0.0.2" : "127.0.0.1", service, hints, result);
    if (failed != 0) return failed;
    const auto other_failed = real(swapped ? "127.0.0.1" : "127.0.0.2", service, hints, &other);
    auto* last = *result;
    while (last->ai_next != nullptr)
      last = last->ai_next;
    last->ai_next = other;
    return other_failed;
  }
  if (node == nullptr || node != slow_host) return real(node, service, hints, result);
  slow_server.wait();
  return real("127.0.0.1", service, hints, result);
}

TEST_CASE("resolve: addresses are taken as they are, names are looked up", "[bus]") {
  asio::io_context io;
  Resolver resolver(io);
  const auto found = [&](const std::string& endpoint) -> Result<std::string> {
    auto address =
        run(io, resolve(resolver, {.node = {}, .endpoint = endpoint, .broadcast_endpoint = {}}, 0));
    if (!address) return fail(address.error());
    return address->endpoint;
  };
  for (const std::string same : {"", "tcp://192.0.2.1:7710", "tcp://[2001:db8::1]:7710",
                                 "tcp://[fe80::1%eth0]:7710", "ipc://socket", "tcp://x"}) {
    CHECK(found(same) == same);
  }
  const auto here = found("tcp://localhost:7710");
  CHECK((here == "tcp://127.0.0.1:7710" || here == "tcp://[::1]:7710"));
  const auto nowhere = found("tcp://" + std::string(no_host) + ":7710");
  REQUIRE_FALSE(nowhere);
  CHECK(nowhere.error().code == Errc::timeout);
  CHECK_THAT(nowhere.error().what, Catch::Contains(std::string(no_host)));
}

TEST_CASE("resolve: both endpoints of a member are at one address", "[bus]") {
  asio::io_context io;
  Resolver resolver(io);
  const PeerAddress named{
      .node = {}, .endpoint = "tcp://two.test:7710", .broadcast_endpoint = "tcp://two.test:7711"};
  times_two_were_asked_for = 0;
  const auto first = run(io, resolve(resolver, named, 0));
  REQUIRE(first);
  CHECK(first->endpoint == "tcp://127.0.0.1:7710");
  CHECK(first->broadcast_endpoint == "tcp://127.0.0.1:7711");
  times_two_were_asked_for = 0;
  const auto second = run(io, resolve(resolver, named, 1));
  REQUIRE(second);
  CHECK(second->endpoint == "tcp://127.0.0.2:7710");
  CHECK(second->broadcast_endpoint == "tcp://127.0.0.2:7711");
}

TEST_CASE("links: a name that nobody answers for keeps no other member waiting", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  TestNode named(io);
  TestNode other(io);
  slow_server.hold();
  node.links().set_members({renamed(named.member(), slow_host)});
  named.links().set_members({node.member()});
  run_until(io, [] { return slow_server.asked() > 0; });
  node.links().set_members({renamed(named.member(), slow_host), other.member()});
  other.links().set_members({node.member()});
  run_until(io, [&] { return node.is_up(other) && other.is_up(node); });
  CHECK_FALSE(node.is_up(named));
  slow_server.answer();
  run_until(io, [&] { return node.is_up(named); });
}

TEST_CASE("links: a member that moves on and on leaves no look-ups behind", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  TestNode named(io);
  slow_server.hold();
  named.links().set_members({node.member()});
  for (int port = 1; port <= 50; ++port) {
    auto moved = renamed(named.member(), slow_host);
    moved.address->endpoint = "tcp://" + std::string(slow_host) + ":" + std::to_string(port);
    node.links().set_members({std::move(moved)});
    run_until(io, [] { return slow_server.asked() > 0; });
    io.poll();  // so that it is dialled before it moves again
  }
  node.links().set_members({renamed(named.member(), slow_host)});
  slow_server.answer();
  run_until(io, [&] { return node.is_up(named); });
  CHECK(slow_server.asked() <= 3);
}
