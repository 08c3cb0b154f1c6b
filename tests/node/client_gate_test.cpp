// Who may do what: local programs, remote clients, and those whose time is over.
#include "node/client_gate.hpp"

#include <asio/use_awaitable.hpp>

#include "bus/client_credential.hpp"
#include "tests/support/coroutines.hpp"

using namespace zerodb;
using Catch::Contains;

namespace {

const bool gate_crypto_ready = initialise_crypto().has_value();

struct GateRuntime : Runtime {
  asio::io_context io;
  std::uint64_t now = 1'000'000;
  std::uint64_t passes = 0;  ///< from one look at the clock to the next

  asio::any_io_executor executor() override { return io.get_executor(); }
  std::uint64_t now_ms() override { return std::exchange(now, now + passes); }
  std::uint64_t steady_ms() override { return now; }
  void random(MutableBytes out) override { fill_random(out); }
  Task<void> sleep(Milliseconds) override { co_return; }
  Task<void> run_blocking(std::function<void()> work) override {
    work();
    co_return;
  }
};

/// Answers everything; what happens in the middle of that is up to the test.
struct NodeBehind : ClientHandler {
  Task<Result<ClientAnswer>> on_client_request(ClientId client, ClientIdentity,
                                               client::Request request, Payload) override {
    asked.emplace_back(client, std::visit([](const auto& one) { return one.name; }, request));
    if (in_the_middle) in_the_middle();
    if (std::holds_alternative<client::Status>(request)) {
      co_return ClientAnswer{client::Status::Reply{}, {}};
    }
    co_return ClientAnswer{client::Ok{}, {}};
  }
  void on_client_gone(ClientId client) override { gone.push_back(client); }

  std::vector<std::pair<ClientId, std::string>> asked;
  std::vector<ClientId> gone;
  std::function<void()> in_the_middle;
};

struct Gated {
  GateRuntime runtime;
  NodeBehind node;
  Bytes kept;
  Status saving;
  NodeId server = CurvePair::generate().public_key;
  std::unique_ptr<ClientGate> gate = open();

  Gated() { gate->set_endpoint("tcp://127.0.0.1:7720"); }

  std::unique_ptr<ClientGate> open() {
    return std::make_unique<ClientGate>(
        runtime, node, server, ClientKeysFile{.content = kept, .save = [this](ByteView content) {
                                                if (saving) kept = to_bytes(content);
                                                return saving;
                                              }});
  }

  Result<ClientAnswer> ask(client::Request request, std::optional<NodeId> credential = {},
                           ClientId client = 1) {
    return test::run(runtime.io, gate->on_client_request(client, ClientIdentity{credential},
                                                         std::move(request), Payload{}));
  }
  Result<std::string> add(client::ClientAdd request) {
    auto answer = ask(std::move(request));
    if (!answer) return fail(answer.error());
    return std::get<client::Text>(answer->message).text;
  }
  /// The key of a client that may read everything.
  NodeId reader(const std::string& name, std::optional<std::uint64_t> expires_s = {}) {
    const auto text = add({.client_name = name, .read = {""}, .expires_s = expires_s});
    REQUIRE(text);
    return parse_credential(*text)->keys.public_key;
  }
};

Errc code_of(const Result<ClientAnswer>& answer) {
  REQUIRE_FALSE(answer);
  return answer.error().code;
}

}  // namespace

TEST_CASE("gate: a local program may do everything", "[node]") {
  Gated here;
  CHECK(here.ask(client::Put{.key = "k"}));
  CHECK(here.ask(client::OwnerExport{}));
  const auto status = here.ask(client::Status{});
  REQUIRE(status);
  CHECK(std::get<client::Status::Reply>(status->message).client_endpoint == "tcp://127.0.0.1:7720");
}

TEST_CASE("gate: a credential is made, works within its rights, and names the node", "[node]") {
  Gated here;
  const auto text = here.add({.client_name = "cam", .read = {"r/"}, .write = {"w/"}});
  REQUIRE(text);
  const auto credential = parse_credential(*text);
  REQUIRE(credential);
  CHECK(credential->name == "cam");
  CHECK(credential->server == here.server);
  CHECK(credential->endpoint == "tcp://127.0.0.1:7720");
  const auto key = credential->keys.public_key;
  CHECK(here.gate->admits(key));
  CHECK(here.ask(client::Get{.key = "r/1"}, key));
  CHECK(here.ask(client::Put{.key = "w/1"}, key));
  CHECK(code_of(here.ask(client::Get{.key = "w/1"}, key)) == Errc::denied);
  CHECK(code_of(here.ask(client::Delete{.key = "w/1"}, key)) == Errc::denied);
  CHECK(code_of(here.ask(client::Status{}, key)) == Errc::denied);
  CHECK(code_of(here.ask(client::ClientAdd{.client_name = "me", .read = {""}}, key)) ==
        Errc::denied);
  CHECK(code_of(here.ask(client::ClientRevoke{.client_name = "cam"}, key)) == Errc::denied);
  CHECK(here.node.asked.size() == 2);  // nothing of what was denied
  // The secret is not kept.
  const auto secret = to_bytes(credential->keys.secret.view());
  CHECK(std::search(here.kept.begin(), here.kept.end(), secret.begin(), secret.end()) ==
        here.kept.end());
}

TEST_CASE("gate: clients are known again after a restart", "[node]") {
  Gated here;
  const auto key = here.reader("one");
  here.gate = here.open();
  CHECK(here.gate->admits(key));
  CHECK(here.ask(client::Get{.key = "k"}, key));
}

TEST_CASE("gate: revoking ends what the client's connections have open, at once", "[node]") {
  Gated here;
  const auto key = here.reader("one");
  const auto other = here.reader("other");
  CHECK(here.ask(client::Get{.key = "k"}, key, 7));
  CHECK(here.ask(client::Get{.key = "k"}, key, 8));
  CHECK(here.ask(client::Get{.key = "k"}, other, 9));
  REQUIRE(here.ask(client::ClientRevoke{.client_name = "one"}));
  CHECK(here.node.gone == std::vector<ClientId>{7, 8});
  CHECK_FALSE(here.gate->admits(key));
  const auto refused = here.ask(client::GetData{}, key, 7);
  CHECK(code_of(refused) == Errc::denied);
  CHECK_THAT(refused.error().what, Contains("revoked"));
  CHECK(here.ask(client::Get{.key = "k"}, other, 9));
  CHECK(code_of(here.ask(client::ClientRevoke{.client_name = "one"})) == Errc::not_found);
  here.gate = here.open();
  CHECK_FALSE(here.gate->admits(key));
}

TEST_CASE("gate: a credential that expires is refused from that moment", "[node]") {
  Gated here;
  const auto key = here.reader("one", 60);
  here.runtime.now += 59'999;
  CHECK(here.ask(client::Get{.key = "k"}, key, 7));
  here.runtime.now += 1;
  CHECK_FALSE(here.gate->admits(key));
  const auto refused = here.ask(client::GetData{}, key, 7);
  CHECK(code_of(refused) == Errc::denied);
  CHECK_THAT(refused.error().what, Contains("expired at"));
  CHECK(here.node.gone == std::vector<ClientId>{7});
  const auto list = here.ask(client::ClientList{});
  REQUIRE(list);
  CHECK(std::get<client::ClientList::Reply>(list->message).entries.at(0).expired);
}

TEST_CASE("gate: an answer that comes after its client was revoked is withheld", "[node]") {
  Gated here;
  const auto key = here.reader("one");
  here.node.in_the_middle = [&] {
    here.node.in_the_middle = {};
    CHECK(here.ask(client::ClientRevoke{.client_name = "one"}, {}, 2));
  };
  CHECK(code_of(here.ask(client::Put{.key = "k"}, key, 7)) == Errc::denied);
  here.node.in_the_middle = [&] { CHECK(here.ask(client::ClientRevoke{.client_name = "two"})); };
  const auto second = here.reader("two");
  CHECK(code_of(here.ask(client::Get{.key = "k"}, second, 8)) == Errc::denied);
  CHECK(std::ranges::count(here.node.gone, 8U) >= 1);
}

TEST_CASE("gate: what cannot be made is refused with what to do", "[node]") {
  Gated here;
  here.reader("taken");
  const auto refusal = [&](client::ClientAdd request) {
    const auto made = here.add(std::move(request));
    REQUIRE_FALSE(made);
    CHECK(made.error().code == Errc::invalid);
    return made.error().what;
  };
  CHECK_THAT(refusal({.client_name = "taken", .read = {""}}), Contains("already"));
  CHECK_THAT(refusal({.client_name = "none"}), Contains("needs a right"));
  CHECK_THAT(refusal({.client_name = "a b", .read = {""}}), Contains("1 to 64 letters"));
  CHECK_THAT(refusal({.client_name = "x", .read = {""}, .expires_s = 0}), Contains("expires"));
  CHECK_THAT(refusal({.client_name = "x", .read = {""}, .expires_s = UINT64_MAX}),
             Contains("expires"));
  here.gate->set_endpoint("");
  CHECK_THAT(refusal({.client_name = "x", .read = {""}}), Contains("client_listen"));
}

TEST_CASE("gate: a client that could not be written down does not exist", "[node]") {
  Gated here;
  here.saving = fail(Errc::full, "no space");
  const auto made = here.add({.client_name = "one", .read = {""}});
  REQUIRE_FALSE(made);
  CHECK(made.error().code == Errc::full);
  here.saving = {};
  const auto key = here.reader("one");
  // One that could not be struck out is out all the same, until the node stops.
  here.saving = fail(Errc::full, "no space");
  const auto revoked = here.ask(client::ClientRevoke{.client_name = "one"});
  CHECK(code_of(revoked) == Errc::full);
  CHECK_THAT(revoked.error().what, Contains("only until this node stops"));
  CHECK_FALSE(here.gate->admits(key));
  // Asked again when there is room, it is out for good; a stranger never was in.
  CHECK(code_of(here.ask(client::ClientRevoke{.client_name = "one"})) == Errc::full);
  here.saving = {};
  CHECK(code_of(here.ask(client::ClientRevoke{.client_name = "two"})) == Errc::not_found);
  CHECK(here.ask(client::ClientRevoke{.client_name = "one"}));
  CHECK(code_of(here.ask(client::ClientRevoke{.client_name = "one"})) == Errc::not_found);
  here.gate = here.open();
  CHECK_FALSE(here.gate->admits(key));
}

TEST_CASE("gate: a credential may end at any moment of a request", "[node]") {
  for (std::uint64_t left_ms = 1; left_ms <= 8; ++left_ms) {
    Gated here;
    const auto key = here.reader("one", 1);
    here.runtime.now += 1000 - left_ms;
    here.runtime.passes = 1;
    const auto answer = here.ask(client::Get{.key = "k"}, key, 7);
    if (!answer) CHECK(code_of(answer) == Errc::denied);
    here.runtime.now += left_ms;
    CHECK(code_of(here.ask(client::Get{.key = "k"}, key, 7)) == Errc::denied);
  }
}

TEST_CASE("gate: with a damaged list nobody is let in, and nothing is written over", "[node]") {
  Gated here;
  const auto key = here.reader("one");
  here.kept[20] ^= 1;
  const auto damaged = here.kept;
  here.gate = here.open();
  here.gate->set_endpoint("tcp://127.0.0.1:7720");
  REQUIRE(here.gate->trouble());
  CHECK_FALSE(here.gate->admits(key));
  CHECK(here.ask(client::Put{.key = "k"}));
  for (const client::Request& request :
       {client::Request(client::ClientAdd{.client_name = "two", .read = {""}}),
        client::Request(client::ClientList{}),
        client::Request(client::ClientRevoke{.client_name = "one"})}) {
    const auto refused = here.ask(request);
    CHECK(code_of(refused) == Errc::corrupt);
    CHECK_THAT(refused.error().what, Contains("restore the file 'clients'"));
  }
  CHECK(here.kept == damaged);
}

TEST_CASE("gate: a list of many clients comes in pages", "[node]") {
  Gated here;
  for (int i = 0; i < 5; ++i)
    here.reader("c" + std::to_string(i));
  std::vector<std::string> names;
  for (bool more = true; more;) {
    const auto answer = here.ask(
        client::ClientList{.after = names.empty() ? std::string() : names.back(), .limit = 2});
    REQUIRE(answer);
    const auto& page = std::get<client::ClientList::Reply>(answer->message);
    CHECK(page.entries.size() <= 2);
    for (const auto& entry : page.entries)
      names.push_back(entry.client_name);
    more = page.more;
  }
  CHECK(names == std::vector<std::string>{"c0", "c1", "c2", "c3", "c4"});
}
