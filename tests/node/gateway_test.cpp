#include "node/gateway.hpp"

#include <catch2/catch.hpp>

#include "tests/node/gateway_mesh.hpp"
#include "tests/support/sizes.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::pattern;

namespace {

Bytes read(GatewayMesh& mesh, GetStream& stream, std::uint64_t offset, std::uint32_t length) {
  auto part = mesh.mesh.run(stream.read(offset, length));
  REQUIRE(part.has_value());
  return to_bytes(part->view());
}

Bytes part_of(const Bytes& content, std::size_t offset, std::size_t length) {
  const auto from = content.begin() + static_cast<std::ptrdiff_t>(offset);
  return {from, from + static_cast<std::ptrdiff_t>(length)};
}

}  // namespace

TEST_CASE("gateway: objects of every size come back as they were", "[gateway]") {
  const auto nodes = GENERATE(1U, 3U);
  GatewayMesh mesh(nodes);
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1}, inline_bytes_max - 1, inline_bytes_max,
        inline_bytes_max + 1, mib - 1, mib, mib + 1, 5 * mib + 12'345}) {
    CAPTURE(nodes, size);
    const auto name = "object of " + std::to_string(size);
    const auto content = pattern(size);
    const auto receipt = mesh.put(0, name, content);
    REQUIRE(receipt.has_value());
    CHECK(receipt->size == size);
    CHECK(receipt->wanted == nodes);
    CHECK(receipt->copies >= write_quorum(nodes));
    CHECK(receipt->missing.empty());
    const auto got = mesh.get(nodes - 1, name);
    REQUIRE(got.has_value());
    CHECK(*got == content);
  }
}

TEST_CASE("gateway: a stream that turns out to be small is kept inline", "[gateway]") {
  GatewayMesh mesh(3);
  for (const std::size_t size : {std::size_t{0}, std::size_t{10}, inline_bytes_max}) {
    const auto content = pattern(size);
    REQUIRE(mesh.put_stream(0, "stream", content).has_value());
    mesh.mesh.world().run_for(std::chrono::seconds(1));
    REQUIRE(mesh.kept(0, "stream").has_value());
    CHECK((*mesh.kept(0, "stream"))->is_inline());
    CHECK(mesh.get(1, "stream") == content);
  }
  CHECK(mesh.mesh.network().sent("put_open") == 0);
}

TEST_CASE("gateway: every placed node ends up with the object", "[gateway]") {
  GatewayMesh mesh(5);
  REQUIRE(mesh.put(0, "small", pattern(100)).has_value());
  REQUIRE(mesh.put(0, "large", pattern(3 * mib)).has_value());
  mesh.mesh.world().run_for(std::chrono::seconds(2));
  for (const std::string name : {"small", "large"}) {
    for (const auto node : mesh.placed(name))
      CHECK(mesh.kept(node, name).has_value());
    for (const auto node : mesh.not_placed(name))
      CHECK_FALSE(mesh.kept(node, name).has_value());
  }
  CHECK(mesh.mesh.network().sent("get_chunk") == 0);  // nobody fetched what was on its way
  CHECK(mesh.uploads() == 0);
}

TEST_CASE("gateway: a gateway that holds nothing itself puts and gets", "[gateway]") {
  GatewayMesh mesh(5);
  const auto content = pattern(2 * mib + 7);
  const auto outside = mesh.not_placed("far away").at(0);
  REQUIRE(mesh.put(outside, "far away", content).has_value());
  CHECK(mesh.get(mesh.not_placed("far away").at(1), "far away") == content);
  REQUIRE(mesh.put(outside, "far away", pattern(10)).has_value());
  CHECK(mesh.get(mesh.not_placed("far away").at(1), "far away") == pattern(10));
}

TEST_CASE("gateway: what is said of an object comes back with it", "[gateway]") {
  GatewayMesh mesh(3);
  PutSpec spec{.name = "../weird name\n\xF0\x9F\x98\x80",
               .media_type = "text/plain",
               .mtime_ms = -5,
               .attributes = {{"mode", "0644"}}};
  REQUIRE(
      mesh.mesh.run(mesh.gateways[0].put_small(spec, Payload::copy_of(pattern(5)))).has_value());
  const auto stream = mesh.open(2, spec.name);
  REQUIRE(stream.has_value());
  CHECK((*stream)->info().name == spec.name);
  CHECK((*stream)->info().media_type == spec.media_type);
  CHECK((*stream)->info().mtime_ms == spec.mtime_ms);
  CHECK((*stream)->info().attributes == spec.attributes);
}

TEST_CASE("gateway: bad names are refused before anything is sent", "[gateway]") {
  GatewayMesh mesh(3);
  for (const auto& name : {std::string(), std::string(1025, 'a'), std::string("\xFF")}) {
    const auto put = mesh.put(0, name, pattern(1));
    REQUIRE_FALSE(put.has_value());
    CHECK(put.error().code == Errc::invalid);
    CHECK(mesh.error_of_get(0, name) == Errc::invalid);
    CHECK(mesh.remove(0, name).error().code == Errc::invalid);
    CHECK(mesh.put(0, name, pattern(mib)).error().code == Errc::invalid);
  }
  CHECK(mesh.mesh.network().sent("put_inline") == 0);
}

TEST_CASE("gateway: the latest put wins, from whichever gateway", "[gateway]") {
  GatewayMesh mesh(3);
  for (std::uint32_t i = 0; i < 12; ++i) {
    const auto content = pattern(i % 2 == 0 ? 100 : 70'000, i);
    REQUIRE(mesh.put(i % 3, "again", content).has_value());
    CHECK(mesh.get((i + 1) % 3, "again") == content);
  }
}

TEST_CASE("gateway: a deleted object is gone from every gateway", "[gateway]") {
  GatewayMesh mesh(3);
  REQUIRE(mesh.put(0, "short-lived", pattern(mib + 1)).has_value());
  const auto receipt = mesh.remove(1, "short-lived");
  REQUIRE(receipt.has_value());
  CHECK(receipt->copies >= 2);
  for (std::size_t i = 0; i < 3; ++i)
    CHECK(mesh.error_of_get(i, "short-lived") == Errc::not_found);
  CHECK(mesh.remove(2, "short-lived").error().code == Errc::not_found);
  REQUIRE(mesh.put(2, "short-lived", pattern(3)).has_value());
  CHECK(mesh.get(0, "short-lived") == pattern(3));
}

TEST_CASE("gateway: a key that does not exist is answered at once", "[gateway]") {
  GatewayMesh mesh(3);
  const auto began = mesh.now_ms();
  CHECK(mesh.error_of_get(0, "nothing") == Errc::not_found);
  CHECK(mesh.remove(0, "nothing").error().code == Errc::not_found);
  CHECK(mesh.now_ms() - began < 100);
}

TEST_CASE("gateway: ranges read only the chunks they touch", "[gateway]") {
  GatewayMesh mesh(5);
  const auto content = pattern(6 * mib);
  REQUIRE(mesh.put(0, "ranges", content).has_value());
  const auto stream = mesh.open(mesh.not_placed("ranges").at(0), "ranges");
  REQUIRE(stream.has_value());
  const auto sent = [&] { return mesh.mesh.network().sent("get_chunk"); };

  CHECK(read(mesh, **stream, 4 * mib + 5, 10) == part_of(content, 4 * mib + 5, 10));
  CHECK(sent() == 1);
  CHECK(read(mesh, **stream, 4 * mib + 100, 1) == part_of(content, 4 * mib + 100, 1));
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(read(mesh, **stream, 2 * mib - 3, 7) == part_of(content, 2 * mib - 3, 7));
  CHECK(read(mesh, **stream, 6 * mib - 2, 100) == part_of(content, 6 * mib - 2, 2));
  CHECK(read(mesh, **stream, 6 * mib, 1).empty());
}

TEST_CASE("gateway: many large puts at once hold a bounded number of chunks", "[gateway]") {
  GatewayMesh mesh(3, {.gateway = {.put_chunks_max = 8}, .mesh = {}});
  for (const std::size_t slow : {1, 2})
    mesh.links[0].delays[mesh.mesh[slow].id()] = Milliseconds(300);
  const auto content = pattern(12 * mib);
  constexpr std::size_t puts = 6;
  std::size_t done = 0;
  const auto put = [&](std::size_t i) -> Task<void> {
    auto receipt = co_await mesh.putting(0, "put " + std::to_string(i), content);
    CHECK(receipt.has_value());
    ++done;
  };
  for (std::size_t i = 0; i < puts; ++i)
    spawn(mesh.mesh[0].runtime, put(i));
  std::size_t most = 0;
  for (int i = 0; i < 5'000 && done < puts; ++i) {
    mesh.mesh.world().run_for(Milliseconds(5));
    most = std::max(most, mesh.gateways[0].put_chunks());
  }
  CHECK(done == puts);
  CHECK(most >= 8);
  CHECK(most <= 8 + 2 * puts);
  CHECK(mesh.get(1, "put 5") == content);
  REQUIRE(mesh.mesh.run_until_quiet());
  CHECK(mesh.gateways[0].put_chunks() == 0);
}

TEST_CASE("gateway: reading ahead stops where the reader said", "[gateway]") {
  GatewayMesh mesh(5);
  const auto content = pattern(6 * mib);
  REQUIRE(mesh.put(0, "ahead", content).has_value());
  const auto stream = mesh.open(mesh.not_placed("ahead").at(0), "ahead");
  REQUIRE(stream.has_value());
  (*stream)->expect_until(3 * mib - 1);
  CHECK(read(mesh, **stream, 0, mib) == part_of(content, 0, mib));
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(mesh.mesh.network().sent("get_chunk") == 3);
}

TEST_CASE("gateway: an object may be overwritten while it is read", "[gateway]") {
  GatewayMesh mesh(3);
  const auto content = pattern(4 * mib, 1);
  REQUIRE(mesh.put(0, "moving", content).has_value());
  const auto stream = mesh.open(1, "moving");
  REQUIRE(stream.has_value());
  CHECK(read(mesh, **stream, 0, mib) == part_of(content, 0, mib));
  REQUIRE(mesh.put(2, "moving", pattern(4 * mib, 2)).has_value());
  CHECK(read(mesh, **stream, 3 * mib, mib) == part_of(content, 3 * mib, mib));
}

TEST_CASE("gateway: a put that is dropped leaves nothing", "[gateway]") {
  GatewayMesh mesh(3);
  auto stream = mesh.mesh.run(mesh.gateways[0].put({.name = "dropped"}));
  REQUIRE(stream.has_value());
  for (int i = 0; i < 4; ++i) {
    auto taken = mesh.mesh.run((*stream)->write(Payload::copy_of(pattern(mib))));
    REQUIRE(taken.has_value());
  }
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(mesh.uploads() == 3);
  stream->reset();
  mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK(mesh.uploads() == 0);
  CHECK(mesh.error_of_get(1, "dropped") == Errc::not_found);
}

TEST_CASE("gateway: a put whose chunks do not add up is refused", "[gateway]") {
  GatewayMesh mesh(1);
  auto& world = mesh.mesh;
  auto stream = world.run(mesh.gateways[0].put({.name = "wrong"}));
  REQUIRE(stream.has_value());
  REQUIRE(world.run((*stream)->write(Payload::copy_of(pattern(5)))).has_value());
  CHECK(world.run((*stream)->write(Payload::copy_of(pattern(5)))).error().code == Errc::invalid);
  CHECK(world.run((*stream)->finish(6)).error().code == Errc::invalid);
  CHECK(world.run((*stream)->write(Payload::copy_of(Bytes(mib + 1)))).error().code ==
        Errc::invalid);
}
