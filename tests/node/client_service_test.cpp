#include "node/client_service.hpp"

#include <catch2/catch.hpp>

#include "tests/node/gateway_mesh.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

constexpr ClientId alice = 1;
constexpr ClientId bob = 2;

/// A mesh whose first node answers clients.
struct Served {
  explicit Served(std::size_t nodes = 3, ClientServiceOptions options = {})
      : mesh(nodes), service(mesh.mesh[0].context(), std::bind(&Served::gateway, this), options) {}

  std::shared_ptr<Gateway> gateway() {
    if (blind) return nullptr;
    return {std::shared_ptr<void>(), &mesh.gateways[0]};  // the mesh owns it
  }

  Result<ClientAnswer> ask(ClientId client, client::Request request, ByteView payload = {}) {
    ClientIdentity identity;
    if (const auto remote = credentials.find(client); remote != credentials.end()) {
      identity.credential = remote->second;
    }
    return mesh.mesh.run(
        service.handle(client, identity, std::move(request), Payload::copy_of(payload)));
  }
  template <class Reply>
  Reply expect(ClientId client, client::Request request, ByteView payload = {}) {
    auto answer = ask(client, std::move(request), payload);
    if (!answer) FAIL(answer.error().what);
    return std::get<Reply>(answer->message);
  }
  Errc error(ClientId client, client::Request request, ByteView payload = {}) {
    auto answer = ask(client, std::move(request), payload);
    REQUIRE_FALSE(answer.has_value());
    return answer.error().code;
  }
  client::Upload begin(const std::string& key, ClientId client = alice) {
    return expect<client::Upload>(client, client::Put{.key = key});
  }
  /// Sends all of `content` to an upload, chunk by chunk.
  void send(std::uint64_t upload, ByteView content, ClientId client = alice) {
    for (std::size_t at = 0; at < content.size(); at += chunk_bytes_max) {
      const auto chunk =
          content.subspan(at, std::min<std::size_t>(chunk_bytes_max, content.size() - at));
      expect<client::Upload>(client, client::PutData{.upload = upload, .offset = at}, chunk);
    }
  }
  void store(const std::string& key, const Bytes& content) {
    const auto upload = begin(key);
    send(upload.upload, content);
    expect<client::Stored>(alice, client::PutEnd{.upload = upload.upload, .size = content.size()});
  }

  std::map<ClientId, NodeId> credentials;  ///< of the clients that are remote
  bool blind = false;
  GatewayMesh mesh;
  ClientService service;
};

}  // namespace

TEST_CASE("client service: it knows what its latest small puts took, and how many they were",
          "[gateway]") {
  Served node;
  CHECK(node.service.small_puts().count() == 0);
  const auto content = pattern(10);
  const auto before_us = node.mesh.mesh[0].context().runtime.steady_us();
  for (int i = 0; i < 3; ++i) {
    node.expect<client::Stored>(alice, client::Put{.key = "k", .size = 10}, content);
  }
  const auto all_us = node.mesh.mesh[0].context().runtime.steady_us() - before_us;
  const auto& puts = node.service.small_puts();
  CHECK(puts.count() == 3);
  CHECK(puts.percentile_us(50) > 0);
  CHECK(puts.percentile_us(50) <= puts.percentile_us(99));
  CHECK(3 * puts.percentile_us(0) <= all_us);
  CHECK(node.error(alice, client::Put{.key = "k", .size = 11}, content) == Errc::invalid);
  CHECK(puts.count() == 3);
}

TEST_CASE("durations: the latest count, and the rest is forgotten", "[gateway]") {
  Durations durations;
  CHECK(durations.percentile_us(50) == 0);
  for (std::uint64_t us = 1; us <= Durations::kept_max; ++us)
    durations.add(us);
  CHECK(durations.percentile_us(0) == 1);
  CHECK(durations.percentile_us(50) == Durations::kept_max / 2);
  CHECK(durations.percentile_us(100) == Durations::kept_max);
  for (std::size_t i = 0; i < Durations::kept_max; ++i)
    durations.add(7);
  CHECK(durations.percentile_us(0) == 7);
  CHECK(durations.percentile_us(100) == 7);
  CHECK(durations.count() == Durations::kept_max);
}

TEST_CASE("client service: a small object is one request each way", "[gateway]") {
  Served node;
  const auto content = pattern(1000);
  const client::Put put{.key = "small", .size = 1000, .media_type = "text/x", .mtime_ms = 7};
  const auto stored = node.expect<client::Stored>(alice, put, content);
  CHECK(stored.size == 1000);
  CHECK(stored.wanted == 3);
  CHECK(stored.missing.empty());

  const auto answer = node.ask(bob, client::Get{.key = "small"});
  REQUIRE(answer.has_value());
  const auto& info = std::get<client::ObjectInfo>(answer->message);
  CHECK(to_bytes(answer->payload.view()) == content);
  CHECK_FALSE(info.download.has_value());
  CHECK(info.version == stored.version);
  CHECK(info.media_type == "text/x");
  CHECK(info.mtime_ms == 7);
}

TEST_CASE("client service: an empty object is stored and read", "[gateway]") {
  Served node;
  node.expect<client::Stored>(alice, client::Put{.key = "empty", .size = 0});
  const auto answer = node.ask(alice, client::Get{.key = "empty"});
  REQUIRE(answer.has_value());
  CHECK(answer->payload.empty());
  CHECK(std::get<client::ObjectInfo>(answer->message).length == 0);
}

TEST_CASE("client service: a large object goes in and out in chunks", "[gateway]") {
  Served node;
  const auto content = pattern(5 * mib + 99);
  node.store("large", content);
  const auto info = node.expect<client::ObjectInfo>(bob, client::Get{.key = "large"});
  REQUIRE(info.download.has_value());
  CHECK(info.length == content.size());
  Bytes got;
  while (got.size() < content.size()) {
    const auto part = node.ask(
        bob, client::GetData{.download = *info.download, .offset = got.size(), .length = mib});
    REQUIRE(part.has_value());
    got.insert(got.end(), part->payload.view().begin(), part->payload.view().end());
  }
  CHECK(got == content);
  node.expect<client::Ok>(bob, client::GetEnd{.download = *info.download});
  CHECK(node.error(bob, client::GetData{.download = *info.download, .offset = 0, .length = 1}) ==
        Errc::not_found);
}

TEST_CASE("client service: ranges are granted, clipped or refused", "[gateway]") {
  Served node;
  const auto content = pattern(2 * mib);
  node.store("ranged", content);
  const auto get = [&](std::optional<std::uint64_t> first, std::optional<std::uint64_t> last) {
    return node.ask(alice, client::Get{.key = "ranged", .first = first, .last = last});
  };
  const auto part = get(mib - 10, mib + 9);
  REQUIRE(part.has_value());
  CHECK(std::ranges::equal(part->payload.view(), ByteView(content).subspan(mib - 10, 20)));
  const auto tail = get(content.size() - 5, 1ULL << 60);
  REQUIRE(tail.has_value());
  CHECK(tail->payload.size() == 5);
  CHECK(std::get<client::ObjectInfo>(tail->message).length == 5);
  CHECK(get(content.size(), {}).error().code == Errc::invalid);
  CHECK(get(5, 4).error().code == Errc::invalid);
  const auto most = get(1, {});
  REQUIRE(most.has_value());
  CHECK(std::get<client::ObjectInfo>(most->message).download.has_value());
}

TEST_CASE("client service: stat, list and delete", "[gateway]") {
  Served node;
  node.store("b", pattern(mib));
  node.store("a", pattern(3));
  const auto info = node.expect<client::ObjectInfo>(alice, client::Stat{.key = "b"});
  CHECK(info.size == mib);
  CHECK(info.replicas == 3);
  CHECK(info.hashed_key == node.mesh.keys.hash_name("b").hex());
  CHECK(info.blob_id == (*node.mesh.kept(0, "b"))->blob_id.hex());
  const auto listing = node.expect<client::List::Reply>(alice, client::List{});
  REQUIRE(listing.entries.size() == 2);
  CHECK(listing.entries[0].key == "a");
  CHECK(listing.entries[1].size == mib);
  node.expect<client::Stored>(alice, client::Delete{.key = "a"});
  CHECK(node.error(alice, client::Stat{.key = "a"}) == Errc::not_found);
  CHECK(node.error(alice, client::Delete{.key = "a"}) == Errc::not_found);
}

TEST_CASE("client service: chunks out of order or without end are refused", "[gateway]") {
  Served node;
  const auto upload = node.begin("odd");
  const auto data = [&](std::uint64_t offset) {
    return client::PutData{.upload = upload.upload, .offset = offset};
  };
  CHECK(node.error(alice, data(1), pattern(5)) == Errc::invalid);
  node.expect<client::Upload>(alice, data(0), pattern(5));
  node.expect<client::Upload>(alice, data(0));  // no bytes: only a sign of life
  CHECK(node.error(alice, client::PutEnd{.upload = upload.upload, .size = 6}) == Errc::invalid);
  CHECK(node.error(alice, client::PutEnd{.upload = upload.upload, .size = 5}) == Errc::not_found);
  CHECK(node.error(alice, client::Put{.key = "odd", .size = 9}, pattern(5)) == Errc::invalid);
  CHECK(node.error(alice, client::Put{.key = ""}) == Errc::invalid);
}

TEST_CASE("client service: one client cannot touch what another opened", "[gateway]") {
  Served node;
  const auto upload = node.begin("mine", alice);
  CHECK(node.error(bob, client::PutData{.upload = upload.upload, .offset = 0}, pattern(5)) ==
        Errc::not_found);
  CHECK(node.error(bob, client::PutEnd{.upload = upload.upload, .size = 0}) == Errc::not_found);
  node.expect<client::Ok>(bob, client::PutAbort{.upload = upload.upload});
  node.send(upload.upload, pattern(5));
}

TEST_CASE("client service: a client that vanishes leaves nothing", "[gateway]") {
  Served node;
  const auto upload = node.begin("vanished");
  node.send(upload.upload, pattern(4 * mib));
  node.mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(node.mesh.uploads() == 3);
  node.service.gone(alice);
  node.mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(node.mesh.uploads() == 0);
  CHECK(node.error(alice, client::PutEnd{.upload = upload.upload, .size = 4 * mib}) ==
        Errc::not_found);
}

TEST_CASE("client service: a client may vanish while its chunk waits for room", "[gateway]") {
  Served node;
  for (const std::size_t other : {1U, 2U}) {
    node.mesh.links[0].delays[node.mesh.mesh[other].id()] = std::chrono::seconds(30);
  }
  const auto upload = node.begin("stuck");
  std::size_t failed = 0;
  const auto send = [](Served& to, client::PutData data, std::size_t& count) -> Task<void> {
    auto payload = Payload::copy_of(pattern(mib));
    client::Request request = data;
    auto answer = co_await to.service.handle(alice, {}, std::move(request), std::move(payload));
    count += answer ? 0 : 1;
  };
  for (std::uint64_t i = 0; i < 24; ++i) {
    const client::PutData data{.upload = upload.upload, .offset = i * mib};
    spawn(node.mesh.mesh[0].runtime, send(node, data, failed));
    node.mesh.mesh.world().run_for(Milliseconds(20));
  }
  CHECK(failed == 0);
  node.service.gone(alice);
  node.mesh.mesh.world().run_for(Milliseconds(100));
  CHECK(failed > 0);
}

TEST_CASE("client service: silent uploads and downloads are dropped", "[gateway]") {
  Served node;
  node.store("here", pattern(2 * mib));
  const auto upload = node.begin("slow");
  const auto info = node.expect<client::ObjectInfo>(alice, client::Get{.key = "here"});
  const auto wait = [&] {
    node.mesh.mesh.world().run_for(std::chrono::seconds(80));
    node.service.drop_idle();
  };
  const client::PutData alive{.upload = upload.upload, .offset = 0};
  const client::GetData some{.download = *info.download, .offset = 0, .length = 1};
  for (int i = 0; i < 3; ++i) {
    wait();
    node.expect<client::Upload>(alice, alive);
    node.expect<client::GetData::Reply>(alice, some);
  }
  wait();
  wait();
  CHECK(node.error(alice, alive) == Errc::not_found);
  CHECK(node.error(alice, some) == Errc::not_found);
}

TEST_CASE("client service: a client has limits", "[gateway]") {
  Served node(1, {.sessions = {.uploads_per_client_max = 2, .downloads_per_client_max = 2}});
  node.store("here", pattern(2 * mib));
  for (int i = 0; i < 2; ++i) {
    node.begin("upload");
    node.expect<client::ObjectInfo>(alice, client::Get{.key = "here"});
  }
  CHECK(node.error(alice, client::Put{.key = "one more"}) == Errc::busy);
  CHECK(node.error(alice, client::Get{.key = "here"}) == Errc::busy);
  node.begin("of another client", bob);
}

TEST_CASE("client service: a blind node says what it is", "[gateway]") {
  Served node;
  CHECK(node.error(alice, client::Status{}) == Errc::invalid);  // what others answer
  node.blind = true;
  for (const client::Request& request : std::initializer_list<client::Request>{
           client::Put{.key = "a"}, client::Get{.key = "a"}, client::Stat{.key = "a"},
           client::List{}, client::Delete{.key = "a"}}) {
    CHECK(node.error(alice, request) == Errc::denied);
  }
}

TEST_CASE("client service: a node that is down is named in the receipt", "[gateway]") {
  Served node;
  node.mesh.mesh.down(1);
  node.mesh.mesh.world().run_for(std::chrono::seconds(10));
  const auto stored = node.expect<client::Stored>(alice, client::Put{.key = "a", .size = 0});
  CHECK(stored.missing == std::vector<std::string>{"node2"});
  CHECK(stored.copies == 2);
}

TEST_CASE("client service: conditions are told to the gateway, and a conflict to the client",
          "[gateway]") {
  Served node;
  const client::Put put{.key = "a", .size = 1, .if_absent = true};
  const auto stored = node.expect<client::Stored>(alice, put, pattern(1));
  CHECK(node.error(bob, put, pattern(1)) == Errc::conflict);
  CHECK(node.error(bob, client::Put{.key = "a", .if_absent = true}) == Errc::conflict);
  const auto upload =
      node.expect<client::Upload>(alice, client::Put{.key = "a", .if_version = stored.version});
  node.send(upload.upload, pattern(mib));
  const auto end = client::PutEnd{.upload = upload.upload, .size = mib};
  const auto second = node.expect<client::Stored>(alice, end);
  CHECK(node.error(bob, client::Delete{.key = "a", .if_version = stored.version}) ==
        Errc::conflict);
  node.expect<client::Stored>(bob, client::Delete{.key = "a", .if_version = second.version});
  CHECK(node.error(bob, client::Put{.key = "a", .size = 1, .if_version = 1, .if_absent = true},
                   pattern(1)) == Errc::invalid);
}

TEST_CASE("client service: attributes are kept up to their limit and no further", "[gateway]") {
  Served node;
  client::Put put{.key = "a", .size = 0, .attributes = {{{"k", std::string(4095, 'x')}}}};
  node.expect<client::Stored>(alice, put);
  CHECK(node.expect<client::ObjectInfo>(bob, client::Stat{.key = "a"}).attributes ==
        *put.attributes);
  put.attributes = {{{"k", std::string(4096, 'x')}}};
  CHECK(node.error(alice, put) == Errc::invalid);
  put.size = {};
  CHECK(node.error(alice, put) == Errc::invalid);  // at once, not after the upload
}

namespace {

client::Upload begin_resumable(Served& node, const std::string& key) {
  auto upload = node.expect<client::Upload>(alice, client::Put{.key = key, .resumable = true});
  REQUIRE(upload.resume);
  CHECK(upload.resume->size() == 16);
  return upload;
}

}  // namespace

TEST_CASE("client service: a resumable upload goes on over another connection", "[gateway]") {
  Served node;
  const auto content = pattern(5 * mib + 7);
  const auto began = begin_resumable(node, "large");
  node.send(began.upload, ByteView(content).first(3 * mib));
  node.service.gone(alice);
  const auto resumed = node.expect<client::Upload>(bob, client::PutResume{*began.resume});
  CHECK(resumed.offset == 3 * mib);
  CHECK(resumed.resume == began.resume);
  for (std::size_t at = 3 * mib; at < content.size(); at += mib) {
    const auto chunk =
        ByteView(content).subspan(at, std::min<std::size_t>(mib, content.size() - at));
    node.expect<client::Upload>(bob, client::PutData{.upload = resumed.upload, .offset = at},
                                chunk);
  }
  const client::PutEnd end{.upload = resumed.upload, .size = content.size()};
  CHECK(node.expect<client::Stored>(bob, end).size == content.size());
  CHECK(node.mesh.get(1, "large") == content);
  CHECK(node.error(bob, client::PutResume{*began.resume}) == Errc::not_found);
}

TEST_CASE("client service: an upload is taken from a connection that still seems to be there",
          "[gateway]") {
  Served node;
  const auto began = begin_resumable(node, "large");
  node.send(began.upload, pattern(mib));
  const auto resumed = node.expect<client::Upload>(bob, client::PutResume{*began.resume});
  CHECK(resumed.offset == mib);
  const client::PutData late{.upload = began.upload, .offset = mib};
  CHECK(node.error(alice, late, pattern(5)) == Errc::not_found);
  node.service.gone(alice);
  const client::PutData next{.upload = resumed.upload, .offset = mib};
  node.expect<client::Upload>(bob, next, pattern(5));
}

TEST_CASE("client service: nobody goes on with an upload without its token", "[gateway]") {
  Served node;
  const auto began = begin_resumable(node, "large");
  const auto plain = node.begin("plain");
  CHECK_FALSE(plain.resume);
  node.service.gone(alice);
  auto wrong = *began.resume;
  wrong[15] ^= 1;
  CHECK(node.error(bob, client::PutResume{wrong}) == Errc::not_found);
  CHECK(node.error(bob, client::PutResume{}) == Errc::not_found);
  CHECK(node.error(bob, client::PutData{.upload = began.upload}, pattern(5)) == Errc::not_found);
  node.expect<client::Upload>(bob, client::PutResume{*began.resume});
}

TEST_CASE("client service: over the network, nobody goes on with another's upload", "[gateway]") {
  constexpr ClientId again = 3;
  Served node;
  const auto hers = CurvePair::generate().public_key;
  node.credentials = {{alice, hers}, {bob, CurvePair::generate().public_key}, {again, hers}};
  const auto began = begin_resumable(node, "large");
  node.send(began.upload, pattern(mib));
  CHECK(node.error(bob, client::PutResume{*began.resume}) == Errc::not_found);
  node.service.gone(alice);
  CHECK(node.error(bob, client::PutResume{*began.resume}) == Errc::not_found);
  const auto resumed = node.expect<client::Upload>(again, client::PutResume{*began.resume});
  CHECK(resumed.offset == mib);
}

TEST_CASE("client service: one credential cannot have all uploads that a node has room for",
          "[gateway]") {
  constexpr ClientId local = 100;
  Served node(3, {.sessions = {.uploads_per_credential_max = 4}});
  const auto key = CurvePair::generate().public_key;
  for (ClientId client = 1; client < 20; ++client)
    node.credentials[client] = key;
  const auto is_full = [&] { return node.error(10, client::Put{.key = "k"}) == Errc::busy; };
  const auto first = node.begin("k", 1);
  const auto second = node.begin("k", 2);
  node.begin("k", 3);
  node.expect<client::Upload>(4, client::Put{.key = "k", .resumable = true});
  CHECK(is_full());
  node.expect<client::Stored>(5, client::Put{.key = "k", .size = 0});  // a whole one takes none
  // One that ends, is aborted, or goes with its connection makes room.
  node.expect<client::Stored>(1, client::PutEnd{.upload = first.upload, .size = 0});
  node.begin("k", 6);
  CHECK(is_full());
  node.expect<client::Ok>(2, client::PutAbort{.upload = second.upload});
  node.begin("k", 7);
  CHECK(is_full());
  node.service.gone(3);
  node.begin("k", 8);
  CHECK(is_full());
  // One that waits to be resumed does not: it takes as much room as before.
  node.service.gone(4);
  CHECK(is_full());
  node.begin("k", local);
}

TEST_CASE("client service: one credential cannot have all downloads that a node has room for",
          "[gateway]") {
  constexpr ClientId local = 100;
  Served node(1, {.sessions = {.downloads_per_credential_max = 4}});
  const auto key = CurvePair::generate().public_key;
  for (ClientId client = 1; client < 20; ++client)
    node.credentials[client] = key;
  node.store("k", pattern(inline_bytes_max + 1));
  const auto open = [&](ClientId client) {
    return *node.expect<client::ObjectInfo>(client, client::Get{.key = "k"}).download;
  };
  const auto is_full = [&] { return node.error(10, client::Get{.key = "k"}) == Errc::busy; };
  const auto first = open(1);
  open(1);
  open(2);
  open(3);
  CHECK(is_full());
  node.expect<client::ObjectInfo>(4, client::Get{.key = "k", .last = 9});  // little takes no room
  node.expect<client::Ok>(1, client::GetEnd{.download = first});
  open(5);
  CHECK(is_full());
  node.service.gone(2);
  open(6);
  CHECK(is_full());
  open(local);
}

TEST_CASE("client service: what reads of a few bytes have opened is not kept", "[gateway]") {
  Served node(1);
  node.store("k", pattern(40 * chunk_bytes_max));
  std::vector<std::uint64_t> downloads;
  for (int i = 0; i < 3; ++i) {
    downloads.push_back(*node.expect<client::ObjectInfo>(alice, client::Get{.key = "k"}).download);
  }
  int answered = 0;
  const auto read = [](Served& from, client::GetData few, int& count) -> Task<void> {
    client::Request request = few;
    auto answer = co_await from.service.handle(alice, {}, std::move(request), {});
    count += answer ? 1 : 0;
  };
  for (const auto download : downloads) {
    for (std::uint64_t chunk = 1; chunk < 40; chunk += 2) {
      const client::GetData few{
          .download = download, .offset = chunk * chunk_bytes_max - 1, .length = 2};
      spawn(node.mesh.mesh[0].runtime, read(node, few, answered));
    }
  }
  node.mesh.mesh.world().run_for(std::chrono::seconds(10));
  CHECK(answered == 60);
  CHECK(node.mesh.gateways[0].chunks_kept() <= 64);
}

TEST_CASE("client service: an upload that nobody resumes goes, and its space with it",
          "[gateway]") {
  Served node(3, {.sessions = {.uploads_max = 1}});
  const auto began = begin_resumable(node, "large");
  node.send(began.upload, pattern(4 * mib));
  node.service.gone(alice);
  CHECK(node.error(bob, client::Put{.key = "another"}) == Errc::busy);
  node.mesh.mesh.world().run_for(std::chrono::seconds(119));
  node.service.drop_idle();
  CHECK(node.mesh.uploads() == 3);
  node.mesh.mesh.world().run_for(std::chrono::seconds(3));
  node.service.drop_idle();
  node.mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(node.mesh.uploads() == 0);
  CHECK(node.error(bob, client::PutResume{*began.resume}) == Errc::not_found);
  node.begin("another", bob);
}
