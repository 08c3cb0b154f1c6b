#include "tests/node/client_service_scene.hpp"

using namespace zerodb;
using namespace zerodb::test;

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
