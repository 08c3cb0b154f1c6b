#include "node/listen_plan.hpp"

#include <catch2/catch.hpp>

#include "tests/node/rosters.hpp"
#include "tests/support/listening_socket.hpp"

using namespace zerodb;
using namespace zerodb::test;

namespace {

using Plan = std::vector<ListenAddresses>;

Plan plan_of(std::string listen, std::string broadcast, std::optional<NodeRecord> last = {}) {
  return listen_plan({.listen = std::move(listen), .broadcast_listen = std::move(broadcast)}, last);
}

NodeRecord last_on(int port, int broadcast_port) {
  return {.node = node_id(1),
          .sequence = 1,
          .endpoint = "tcp://announced.example:" + std::to_string(port),
          .broadcast_endpoint = "tcp://announced.example:" + std::to_string(broadcast_port)};
}

}  // namespace

TEST_CASE("listen_plan: broadcasts go beside the port that is set, or anywhere", "[node]") {
  CHECK(plan_of("10.0.0.1:7710", "") == Plan{{"tcp://10.0.0.1:7710", "tcp://10.0.0.1:7711"},
                                             {"tcp://10.0.0.1:7710", "tcp://10.0.0.1:0"}});
  CHECK(plan_of("[::1]:65535", "") == Plan{{"tcp://[::1]:65535", "tcp://[::1]:0"}});
  CHECK(plan_of("10.0.0.1:7710", "*:9000") == Plan{{"tcp://10.0.0.1:7710", "tcp://*:9000"}});
}

TEST_CASE("listen_plan: a node that may take any port comes back where it was", "[node]") {
  CHECK(plan_of("127.0.0.1:0", "") == Plan{{"tcp://127.0.0.1:0", "tcp://127.0.0.1:0"}});
  CHECK(plan_of("127.0.0.1:0", "", last_on(5001, 6001)) ==
        Plan{{"tcp://127.0.0.1:5001", "tcp://127.0.0.1:6001"},
             {"tcp://127.0.0.1:5001", "tcp://127.0.0.1:5002"},
             {"tcp://127.0.0.1:5001", "tcp://127.0.0.1:0"},
             {"tcp://127.0.0.1:0", "tcp://127.0.0.1:0"}});
  CHECK(plan_of("127.0.0.1:0", "127.0.0.1:0", last_on(5001, 6001)) ==
        Plan{{"tcp://127.0.0.1:5001", "tcp://127.0.0.1:6001"},
             {"tcp://127.0.0.1:5001", "tcp://127.0.0.1:0"},
             {"tcp://127.0.0.1:0", "tcp://127.0.0.1:0"}});
}

TEST_CASE("listen_plan: a port set anew takes the place of the old one, broadcasts and all",
          "[node]") {
  CHECK(plan_of("127.0.0.1:5005", "", last_on(5001, 6001)) ==
        Plan{{"tcp://127.0.0.1:5005", "tcp://127.0.0.1:5006"},
             {"tcp://127.0.0.1:5005", "tcp://127.0.0.1:0"}});
  CHECK(plan_of("127.0.0.1:5001", "", last_on(5001, 6001)).front() ==
        ListenAddresses{"tcp://127.0.0.1:5001", "tcp://127.0.0.1:6001"});
}

TEST_CASE("listen_plan: the first whose ports are all free is chosen, else the last", "[node]") {
  const auto plan = plan_of("127.0.0.1:0", "", last_on(5001, 6001));
  const auto chosen_without = [&](const std::string& taken) {
    return choose_addresses(plan, [&](const std::string& e) { return !e.ends_with(taken); });
  };
  CHECK(chosen_without(":1") == plan[0]);
  CHECK(chosen_without(":6001") == plan[1]);
  CHECK(chosen_without(":5001") == plan[3]);
  CHECK(chosen_without("") == plan[3]);
}

TEST_CASE("listen_plan: a port that somebody listens on is not free", "[node]") {
  const ListeningSocket other;
  CHECK_FALSE(is_free_endpoint("tcp://127.0.0.1:" + std::to_string(other.port())));
  CHECK_FALSE(is_free_endpoint("tcp://*:" + std::to_string(other.port())));
  CHECK(is_free_endpoint("tcp://127.0.0.1:0"));
  CHECK(is_free_endpoint("tcp://no.such.host:1"));
}

TEST_CASE("listen_plan: clients find a node that takes any port where it was, if it is free",
          "[node]") {
  const auto chosen = [](const std::string& listen, const std::string& last, bool free) {
    return choose_client_endpoint(listen, last, [free](const std::string&) { return free; });
  };
  CHECK(chosen("127.0.0.1:0", "tcp://127.0.0.1:4711", true) == "tcp://127.0.0.1:4711");
  CHECK(chosen("0.0.0.0:0", "tcp://127.0.0.1:4711", true) == "tcp://0.0.0.0:4711");
  CHECK(chosen("127.0.0.1:0", "tcp://127.0.0.1:4711", false) == "tcp://127.0.0.1:0");
  CHECK(chosen("0.0.0.0:0", "tcp://0.0.0.0:4711", true) == "tcp://0.0.0.0:4711");
  CHECK(chosen("[::]:0", "tcp://[::]:4711", true) == "tcp://[::]:4711");
  CHECK(chosen("127.0.0.1:0", "4711", true) == "tcp://127.0.0.1:0");
  CHECK(chosen("127.0.0.1:0", "", true) == "tcp://127.0.0.1:0");
  CHECK(chosen("127.0.0.1:7720", "tcp://127.0.0.1:4711", false) == "tcp://127.0.0.1:7720");
  CHECK(chosen("", "tcp://127.0.0.1:4711", true).empty());
}
