#include "bus/broadcast.hpp"

#include "bus/codec.hpp"
#include "tests/bus/test_node.hpp"

using namespace zerodb;
using test::run_until;
using test::TestNode;

namespace {

ObjectId object_in(std::uint16_t first_bytes, std::uint8_t owner) {
  ObjectId object;
  put_u16(object.hashed_key.mutable_view().first(2), first_bytes);
  object.owner.mutable_view()[0] = owner;
  return object;
}

const ObjectId object = object_in(0x5af0, 7);

broadcast::Message store_message(std::uint8_t mark = 1) {
  return broadcast::Store{.manifest = {mark}};
}

struct Speaker {
  NodeKeys keys = NodeKeys::generate();
  BroadcastSealer sealer{keys.curve.public_key, keys.sign, 1000};
  BroadcastOpener opener{keys.curve.public_key, keys.sign.public_key()};

  Result<std::optional<broadcast::Message>> hear(const std::vector<Payload>& frames) {
    return opener.open(frames, [](const auto&) { return true; });
  }
};

std::uint8_t mark_of(const broadcast::Message& message) {
  return std::get<broadcast::Store>(message).manifest.at(0);
}

}  // namespace

TEST_CASE("broadcast: topics name a partition or an owner, and all partitions are one", "[bus]") {
  CHECK(partition_topic(0x5af) == "p/5af/");
  CHECK(partition_topic(0) == "p/000/");
  CHECK(owner_topic(OwnerId()) == "o/" + std::string(64, '0') + "/");
  CHECK(topics_of({1, 2}, {OwnerId()}) ==
        std::set<std::string>{"g/", "p/001/", "p/002/", owner_topic(OwnerId())});

  std::set<Partition> all;
  for (std::size_t i = 0; i < partition_count; ++i)
    all.insert(static_cast<Partition>(i));
  CHECK(topics_of(all, {}) == std::set<std::string>{"g/", "p/"});
  CHECK(topics_of(all, {OwnerId()}) == std::set<std::string>{"g/", "p/"});
}

TEST_CASE("broadcast: store goes to partition and owner, and is heard once", "[bus]") {
  Speaker speaker;
  const auto messages = speaker.sealer.seal(object, store_message(), 5);
  REQUIRE(messages.size() == 2);
  CHECK(as_text(messages[0][0].view()) == "p/5af/");
  CHECK(as_text(messages[1][0].view()) == owner_topic(object.owner));
  const auto first = speaker.hear(messages[0]);
  REQUIRE(first);
  REQUIRE(*first);
  CHECK(mark_of(**first) == 1);
  const auto second = speaker.hear(messages[1]);
  REQUIRE(second);
  CHECK_FALSE(*second);
}

TEST_CASE("broadcast: get goes to all", "[bus]") {
  Speaker speaker;
  const auto messages = speaker.sealer.seal(object, broadcast::Get{}, 5);
  REQUIRE(messages.size() == 1);
  CHECK(as_text(messages[0][0].view()) == "g/");
}

TEST_CASE("broadcast: a replayed message is not heard again", "[bus]") {
  Speaker speaker;
  const auto old = speaker.sealer.seal(object, store_message(1), 5)[0];
  const auto later = speaker.sealer.seal(object, store_message(2), 5)[0];
  REQUIRE(*speaker.hear(old));
  REQUIRE(*speaker.hear(later));
  CHECK_FALSE(*speaker.hear(old));
  CHECK_FALSE(*speaker.hear(later));
}

TEST_CASE("broadcast: what is no news is dropped, forged or not", "[bus]") {
  Speaker speaker;
  const auto no_news = [](const broadcast::Message& message) { return mark_of(message) != 1; };
  BroadcastSealer forger(speaker.keys.curve.public_key, SigningKey::generate(), 5000);
  const auto forged = forger.seal(object, store_message(1), 5)[0];
  const auto dropped = speaker.opener.open(forged, no_news);
  REQUIRE(dropped);
  CHECK_FALSE(*dropped);
  // The forger's sequence number, above the sender's own, was not taken for accepted.
  CHECK(*speaker.opener.open(speaker.sealer.seal(object, store_message(2), 5)[0], no_news));
  CHECK_FALSE(speaker.opener.open(forger.seal(object, store_message(2), 5)[0], no_news));
}

TEST_CASE("broadcast: a node that restarts is heard", "[bus]") {
  Speaker speaker;
  REQUIRE(*speaker.hear(speaker.sealer.seal(object, store_message(1), 5)[0]));
  BroadcastSealer restarted(speaker.keys.curve.public_key, speaker.keys.sign, 2000);
  CHECK(*speaker.hear(restarted.seal(object, store_message(2), 6)[0]));
}

TEST_CASE("broadcast: what is not the sender's own is refused", "[bus]") {
  Speaker speaker;
  auto frames = speaker.sealer.seal(object, store_message(), 5)[0];
  const auto code_of = [&] {
    const auto opened = speaker.hear(frames);
    REQUIRE_FALSE(opened);
    return opened.error().code;
  };
  SECTION("a changed header") {
    auto header = to_bytes(frames[1].view());
    header.back() ^= 1;  // still well-formed or not: refused in any case
    frames[1] = Payload::take(header);
    CHECK_FALSE(speaker.hear(frames));
  }
  SECTION("signed by somebody else") {
    BroadcastSealer forger(speaker.keys.curve.public_key, SigningKey::generate(), 5000);
    frames = forger.seal(object, store_message(), 5)[0];
    CHECK(code_of() == Errc::corrupt);
  }
  SECTION("in another node's name") {
    const auto other = NodeKeys::generate();
    BroadcastSealer honest(other.curve.public_key, other.sign, 5000);
    frames = honest.seal(object, store_message(), 5)[0];
    CHECK(code_of() == Errc::denied);
  }
  SECTION("without a signature") {
    frames[2] = Payload();
    CHECK(code_of() == Errc::invalid);
  }
  SECTION("with a frame missing") {
    frames.pop_back();
    CHECK(code_of() == Errc::invalid);
  }
  SECTION("garbage") {
    frames[1] = Payload::copy_of(as_bytes("\xdd\x7f\xff\xff\xff"));
    CHECK(code_of() == Errc::invalid);
  }
  SECTION("far too large") {
    frames[1] = Payload::take(Bytes(100'000, 0));
    CHECK(code_of() == Errc::invalid);
  }
  // And none of it keeps the sender's next message from being heard.
  CHECK(*speaker.hear(speaker.sealer.seal(object, store_message(), 5)[0]));
}

TEST_CASE("broadcast: only those who subscribed hear, and they hear once", "[bus]") {
  asio::io_context io;
  TestNode speaker(io);
  TestNode placed(io);
  TestNode owner(io);
  TestNode both(io);
  TestNode neither(io);
  placed.links().subscribe({0x5af}, {});
  owner.links().subscribe({0x111}, {object.owner});
  both.links().subscribe({0x5af}, {object.owner});
  neither.links().subscribe({0x111}, {object_in(0, 8).owner});
  test::connect(io, {&speaker, &placed, &owner, &both, &neither});

  // A subscription takes effect when the publisher has heard of it: `get` reaches all who have.
  const auto heard_a_get = [](const TestNode& node) {
    return std::ranges::any_of(node.broadcasts, [](const auto& heard) {
      return std::holds_alternative<broadcast::Get>(heard.second);
    });
  };
  auto next = std::chrono::steady_clock::now();
  run_until(io, [&] {
    if (std::chrono::steady_clock::now() >= next) {  // more than are read would be dropped
      speaker.links().publish(object, broadcast::Get{});
      next += Milliseconds(10);
    }
    return heard_a_get(placed) && heard_a_get(owner) && heard_a_get(both) && heard_a_get(neither);
  });
  for (auto* node : {&placed, &owner, &both, &neither})
    node->broadcasts.clear();

  const broadcast::Get last{.owner = {}, .hashed_key = {}, .nonce = 99};
  speaker.links().publish(object, store_message(1));
  speaker.links().publish(object, broadcast::Delete{.manifest = {2}});
  speaker.links().publish(object, last);
  const auto heard_the_last = [](const TestNode& node) {
    if (node.broadcasts.empty()) return false;
    const auto* get = std::get_if<broadcast::Get>(&node.broadcasts.back().second);
    return get != nullptr && get->nonce == 99;
  };
  run_until(io, [&] {
    return heard_the_last(placed) && heard_the_last(owner) && heard_the_last(both) &&
           heard_the_last(neither);
  });
  const auto news = [](const TestNode& node) {
    return std::ranges::count_if(node.broadcasts, [](const auto& heard) {
      return !std::holds_alternative<broadcast::Get>(heard.second);
    });
  };
  CHECK(news(placed) == 2);
  CHECK(news(owner) == 2);
  CHECK(news(both) == 2);
  CHECK(news(neither) == 0);
  CHECK(speaker.broadcasts.empty());
  CHECK(placed.broadcasts.back().first == speaker.id());
}
