// What a client has opened: resumed elsewhere, bounded, and forgotten.
#include "tests/node/client_service_scene.hpp"

using namespace zerodb;
using namespace zerodb::test;

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

TEST_CASE(
    "client service: a remote client that only says it is there holds no upload open for long",
    "[gateway]") {
  Served node;
  node.credentials[bob] = CurvePair::generate().public_key;
  const auto remote = node.begin("remote", bob);
  const auto local = node.begin("local");
  node.send(remote.upload, pattern(mib), bob);
  node.send(local.upload, pattern(mib));
  const auto both_say = [&] {
    node.mesh.mesh.world().run_for(std::chrono::seconds(100));
    node.service.drop_idle();
    node.expect<client::Upload>(alice, client::PutData{.upload = local.upload, .offset = mib});
    return node.ask(bob, client::PutData{.upload = remote.upload, .offset = mib});
  };
  for (int i = 0; i < 35; ++i)
    CHECK(both_say());
  Result<ClientAnswer> last = both_say();
  if (last) last = both_say();
  REQUIRE_FALSE(last);
  CHECK(last.error().code == Errc::not_found);
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
