#include "bus/resolve.hpp"

#include <dlfcn.h>
#include <netdb.h>

#include <condition_variable>
#include <mutex>

#include "tests/bus/test_node.hpp"

using namespace zerodb;
using test::run;
using test::run_until;
using test::TestNode;

namespace {

/// What the system's resolver says of `slow_host`, once it is told to.
constexpr std::string_view slow_host = "slow.test";

/// A host that it does not know, without asking anybody.
constexpr std::string_view no_host = "nowhere.invalid";

class SlowServer {
 public:
  void answer() {
    const std::lock_guard lock(mutex_);
    answers_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    asked_ = true;
    changed_.wait(lock, [this] { return answers_; });
  }
  bool is_asked() {
    const std::lock_guard lock(mutex_);
    return asked_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool asked_ = false;
  bool answers_ = false;
};

SlowServer slow_server;

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
  if (node == nullptr || node != slow_host) return real(node, service, hints, result);
  slow_server.wait();
  return real("127.0.0.1", service, hints, result);
}

TEST_CASE("resolve: addresses are taken as they are, names are looked up", "[bus]") {
  asio::io_context io;
  const auto found = [&](std::string endpoint) { return run(io, resolve(io, endpoint, 0)); };
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

TEST_CASE("links: a name that nobody answers for keeps no other member waiting", "[bus]") {
  asio::io_context io;
  TestNode node(io);
  TestNode named(io);
  TestNode other(io);
  node.links().set_members({renamed(named.member(), slow_host)});
  named.links().set_members({node.member()});
  run_until(io, [] { return slow_server.is_asked(); });
  node.links().set_members({renamed(named.member(), slow_host), other.member()});
  other.links().set_members({node.member()});
  run_until(io, [&] { return node.is_up(other) && other.is_up(node); });
  CHECK_FALSE(node.is_up(named));
  slow_server.answer();
  run_until(io, [&] { return node.is_up(named); });
}
