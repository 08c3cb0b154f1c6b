// Following an owner's events: several gateways of a simulated mesh, in virtual time.
#include "node/event_service.hpp"

#include <catch2/catch.hpp>

#include "tests/node/gateway_mesh.hpp"

using namespace zerodb;
using test::GatewayMesh;
using test::GatewayMeshOptions;
using test::pattern;
using EventsReply = client::Events::Reply;
using Strings = std::vector<std::string>;

namespace {

constexpr ClientId follower = 1;

/// A file of followers that outlives gateways.
struct FollowerDisk {
  std::optional<Bytes> content;
  bool fails = false;
  int saves = 0;

  FollowersFile file() {
    return {.load = [this]() -> Result<Bytes> {
              if (fails) return fail(Errc::io, "test");
              if (!content) return fail(Errc::not_found, "test");
              return *content;
            },
            .save = [this](ByteView bytes) -> Status {
              if (fails) return fail(Errc::io, "test");
              content = to_bytes(bytes);
              saves += 1;
              return {};
            }};
  }
};

/// Takes what is published.
struct ListeningSink : EventSink {
  bool listening = true;
  std::vector<client::Published> heard;
  bool has_subscribers() const override { return listening; }
  void publish(const client::Published& event) override { heard.push_back(event); }
};

/// Names on a disk that outlives gateways, with faults to order.
class KeptNames final : public NameStore {
 public:
  Result<std::vector<std::optional<KnownVersion>>> known(
      std::span<const HashedKey> objects) override {
    return store->known(objects);
  }
  Result<std::vector<KnownObject>> known_in(Partition partition) override {
    return store->known_in(partition);
  }
  Result<NamePage> page(const ListQuery& query) override { return store->page(query); }
  Result<EventPage> events(const EventQuery& query) override { return store->events(query); }
  Status write(std::span<const NameRecord> records, const NameNotes& notes,
               const NameWrite& how) override {
    if (std::exchange(write_fails, false)) return fail(Errc::io, "test");
    return store->write(records, notes, how);
  }
  Result<NameNotes> notes() override { return store->notes(); }
  Status clear() override { return store->clear(); }

  std::shared_ptr<NameStore> store = make_memory_name_store();
  bool write_fails = false;
};

/// One more gateway of the mesh's owner, on its first node, with clients.
struct Followed {
  Followed(GatewayMesh& of, const std::shared_ptr<NameStore>& names, FollowerDisk& disk,
           EventBounds bounds = {})
      : mesh(of),
        gateway(std::make_shared<Gateway>(of.mesh[0].context(), OwnerKeys(of.keys.seed()),
                                          GatewayOptions{.events = bounds}, open(names),
                                          disk.file())),
        service(of.mesh[0].context(), [this] { return gateway; }, {}) {
    of.mesh[0].on_news = [this](ByteView manifest) { gateway->on_news(manifest); };
    of.mesh[0].is_followed = [this] { return gateway->is_followed(); };
  }
  ~Followed() {
    service.stop();
    gateway->stop();
    mesh.mesh.world().run_for(std::chrono::seconds(60));
    mesh.mesh[0].on_news = {};
    mesh.mesh[0].is_followed = {};
  }

  static OpenNames open(const std::shared_ptr<NameStore>& names) {
    struct Shared final : NameStore {
      explicit Shared(std::shared_ptr<NameStore> kept) : to(std::move(kept)) {}
      Result<std::vector<std::optional<KnownVersion>>> known(
          std::span<const HashedKey> objects) override {
        return to->known(objects);
      }
      Result<std::vector<KnownObject>> known_in(Partition partition) override {
        return to->known_in(partition);
      }
      Result<NamePage> page(const ListQuery& query) override { return to->page(query); }
      Result<EventPage> events(const EventQuery& query) override { return to->events(query); }
      Status write(std::span<const NameRecord> records, const NameNotes& notes,
                   const NameWrite& how) override {
        return to->write(records, notes, how);
      }
      Result<NameNotes> notes() override { return to->notes(); }
      Status clear() override { return to->clear(); }
      std::shared_ptr<NameStore> to;
    };
    return
        [names]() -> Result<std::unique_ptr<NameStore>> { return std::make_unique<Shared>(names); };
  }

  Result<EventsReply> ask(client::Events request) {
    auto answer = mesh.mesh.run(service.events(follower, std::move(request)));
    if (!answer) return fail(std::move(answer.error()));
    return std::get<EventsReply>(answer->message);
  }
  EventsReply events(client::Events request) { return ask(std::move(request)).value(); }
  Result<client::Follower> ack(const std::string& durable, const std::string& epoch,
                               std::uint64_t sequence, bool back = false) {
    auto answer = mesh.mesh.run(
        service.ack({.durable = durable, .epoch = epoch, .sequence = sequence, .back = back}));
    if (!answer) return fail(std::move(answer.error()));
    return std::get<client::Follower>(answer->message);
  }
  client::Followers::Reply followers() {
    return std::get<client::Followers::Reply>(mesh.mesh.run(service.followers())->message);
  }
  void put(const std::string& name) {
    REQUIRE(mesh.mesh.run(gateway->put_small({.name = name}, Payload())).has_value());
  }

  GatewayMesh& mesh;
  std::shared_ptr<Gateway> gateway;
  EventService service;
};

/// "+a", "-a".
Strings told(const EventsReply& reply) {
  Strings told;
  for (const auto& event : reply.entries)
    told.push_back((event.kind == "store" ? "+" : "-") + event.key);
  return told;
}

Strings sorted(Strings all) {
  std::ranges::sort(all);
  return all;
}

struct Stage {
  explicit Stage(std::size_t nodes = 3, EventBounds with = {})
      : mesh(nodes), bounds(with), names(std::make_shared<KeptNames>()) {
    restart();
  }
  void restart() {
    node.reset();
    node = std::make_unique<Followed>(mesh, names, disk, bounds);
  }
  /// Nothing that was not written by now ever is.
  void crash() {
    const auto kept = std::exchange(names->store, make_memory_name_store());
    names = std::make_shared<KeptNames>();
    names->store = kept;
    restart();
  }
  /// Lets broadcasts arrive.
  void settle() { mesh.mesh.world().run_for(std::chrono::seconds(1)); }
  Followed* operator->() { return node.get(); }

  GatewayMesh mesh;
  EventBounds bounds;
  std::shared_ptr<KeptNames> names;
  FollowerDisk disk;
  std::unique_ptr<Followed> node;
};

}  // namespace

TEST_CASE("events: what any gateway does is told in order, once", "[gateway]") {
  Stage stage;
  CHECK(stage->events({}).entries.empty());  // somebody follows from here on
  REQUIRE(stage.mesh.put(1, "a", pattern(10)).has_value());
  stage.settle();
  REQUIRE(stage.mesh.put(2, "b", pattern(70'000)).has_value());
  stage.settle();
  stage->put("c");
  REQUIRE(stage.mesh.remove(1, "b").has_value());
  stage.settle();
  REQUIRE(stage.mesh.put(2, "a", pattern(11)).has_value());
  stage.mesh.mesh.world().run_for(std::chrono::seconds(40));
  const auto reply = stage->events({.since = 0});
  CHECK(told(reply) == Strings{"+a", "+b", "+c", "-b", "+a"});
  for (std::size_t i = 0; i < reply.entries.size(); ++i)
    CHECK(reply.entries[i].sequence == i + 1);
  CHECK(reply.entries[1].size == 70'000);
  CHECK(reply.next == 6);
  CHECK(stage->events({.since = reply.next, .epoch = reply.epoch}).entries.empty());
}

TEST_CASE("events: one that no broadcast told of is told within seconds", "[gateway]") {
  Stage stage;
  CHECK(stage->events({}).next == 1);
  for (auto& links : stage.mesh.links)
    links.publishes = false;
  REQUIRE(stage.mesh.put(1, "quiet", pattern(10)).has_value());
  REQUIRE(stage.mesh.put(2, "gone", pattern(10)).has_value());
  const auto before_ms = stage.mesh.now_ms();
  auto reply = stage->events({.since = 1, .wait_ms = 30'000});
  CHECK(stage.mesh.now_ms() - before_ms < 15'000);
  CHECK(sorted(told(reply)) == Strings{"+gone", "+quiet"});
  REQUIRE(stage.mesh.remove(1, "gone").has_value());
  reply = stage->events({.since = reply.next, .wait_ms = 30'000});
  CHECK(told(reply) == Strings{"-gone"});
}

TEST_CASE("events: what was stored before anybody followed is told to who begins at 0",
          "[gateway]") {
  Stage stage;
  REQUIRE(stage.mesh.put(1, "old", pattern(10)).has_value());
  CHECK(stage->events({}).next == 2);
  CHECK(told(stage->events({.since = 0})) == Strings{"+old"});
}

TEST_CASE("events: a wait ends with the first that it is for, or in time", "[gateway]") {
  Stage stage;
  const auto start = stage->events({});
  const auto before_ms = stage.mesh.now_ms();
  CHECK(stage->events({.since = start.next, .wait_ms = 2'000}).entries.empty());
  const auto waited_ms = stage.mesh.now_ms() - before_ms;
  CHECK(waited_ms >= 2'000);
  CHECK(waited_ms < 3'000);

  std::optional<Result<ClientAnswer>> answer;
  const auto poll = [&]() -> Task<void> {
    client::Events request{.since = start.next, .prefix = "mine/", .wait_ms = 30'000};
    answer = co_await stage->service.events(follower, std::move(request));
  };
  spawn(stage.mesh.mesh[0].runtime, poll());
  REQUIRE(stage.mesh.put(1, "other", pattern(1)).has_value());
  stage.mesh.mesh.world().run_for(std::chrono::seconds(1));
  CHECK_FALSE(answer.has_value());
  REQUIRE(stage.mesh.put(1, "mine/1", pattern(1)).has_value());
  stage.mesh.mesh.world().run_for(std::chrono::milliseconds(500));
  REQUIRE(answer.has_value());
  const auto& reply = std::get<EventsReply>((*answer)->message);
  CHECK(told(reply) == Strings{"+mine/1"});
  CHECK(reply.next == 3);
}

TEST_CASE("events: a client's waits are bounded", "[gateway]") {
  Stage stage(1);
  std::size_t refused = 0;
  std::size_t ended = 0;
  const auto poll = [&]() -> Task<void> {
    client::Events request{.wait_ms = 60'000};
    const auto answer = co_await stage->service.events(follower, std::move(request));
    ended += 1;
    if (!answer && answer.error().code == Errc::busy) refused += 1;
  };
  for (int i = 0; i < 20; ++i)
    spawn(stage.mesh.mesh[0].runtime, poll());
  stage.mesh.mesh.world().run_for(std::chrono::seconds(20));
  CHECK(refused == 4);
  CHECK(ended == 4);
  stage.mesh.mesh.world().run_for(std::chrono::seconds(15));  // no wait is longer than 30 s
  CHECK(ended == 20);
}

TEST_CASE("events: a follower that is too late is told so, and where to go on", "[gateway]") {
  Stage stage(1, {.count_max = 5, .keep_ms = 1'000'000'000});
  const auto start = stage->events({});
  for (int i = 0; i < 9; ++i)
    stage->put("n" + std::to_string(i));
  const auto late = stage->events({.since = start.next, .epoch = start.epoch});
  CHECK(late.gap);
  CHECK_FALSE(late.reset);
  CHECK(late.entries.empty());
  CHECK(late.oldest == 5);
  CHECK(late.next == 10);
  CHECK(stage->events({.since = 5}).entries.size() == 5);
  CHECK_FALSE(stage->events({.since = 0}).gap);
  stage->put("more");
  CHECK(told(stage->events({.since = late.next, .epoch = late.epoch})) == Strings{"+more"});
}

TEST_CASE("events: a log that was lost begins another epoch, and says so", "[gateway]") {
  Stage stage;
  stage->put("a");
  const auto before = stage->events({.since = 0});
  CHECK(told(before) == Strings{"+a"});
  stage.names->write_fails = true;
  stage->put("b");
  stage.mesh.mesh.world().run_for(std::chrono::seconds(10));
  const auto lost = stage->events({.since = before.next, .epoch = before.epoch});
  CHECK(lost.reset);
  CHECK(lost.entries.empty());
  CHECK(lost.epoch != before.epoch);
  stage.mesh.mesh.world().run_for(std::chrono::seconds(20));
  CHECK(sorted(told(stage->events({.since = 0}))) == Strings{"+a", "+b"});
  CHECK(stage->events({.since = 1'000}).reset);  // beyond the end: of no log there ever was
}

TEST_CASE("events: what a crash kept from the log is told after it", "[gateway]") {
  Stage stage(1);
  const auto start = stage->events({});
  stage.mesh.mesh.world().run_for(std::chrono::seconds(120));  // nobody follows any more
  stage->put("acknowledged");  // and is in memory only, for some seconds
  stage.crash();
  const auto reply = stage->events({.since = 0});
  CHECK(told(reply) == Strings{"+acknowledged"});
}

TEST_CASE("events: a durable follower goes on after a restart where it acknowledged", "[gateway]") {
  Stage stage;
  const auto first = stage->events({.durable = "mirror"});
  CHECK(first.next == 1);
  stage->put("a");
  stage->put("b");
  stage->put("c");
  auto reply = stage->events({.durable = "mirror", .limit = 2});
  CHECK(told(reply) == Strings{"+a", "+b"});
  CHECK(stage->ack("mirror", reply.epoch, 1)->next == 2);
  stage.restart();
  reply = stage->events({.durable = "mirror"});
  CHECK(told(reply) == Strings{"+b", "+c"});
  CHECK(stage->ack("mirror", reply.epoch, 3)->next == 4);
  CHECK(stage->ack("mirror", reply.epoch, 1)->next == 4);  // never back
  CHECK(stage->ack("mirror", reply.epoch, 1, true)->next == 2);
  CHECK(stage->ack("mirror", reply.epoch, 9).error().code == Errc::invalid);
  CHECK(stage->ack("other", reply.epoch, 1).error().code == Errc::not_found);
  CHECK(stage->ack("mirror", std::string(32, '0'), 1).error().code == Errc::invalid);
  CHECK(stage->ack("mirror", "no epoch", 1).error().code == Errc::invalid);
  const auto all = stage->followers();
  REQUIRE(all.entries.size() == 1);
  CHECK(all.entries[0].durable == "mirror");
  CHECK(all.entries[0].behind == 2);
  CHECK_FALSE(all.entries[0].lost);
}

TEST_CASE("events: an acknowledgement that is not durable is none", "[gateway]") {
  Stage stage(1);
  stage->put("a");
  const auto reply = stage->events({.since = 0, .durable = "mirror"});
  stage.disk.fails = true;
  CHECK(stage->ack("mirror", reply.epoch, 1).error().code == Errc::io);
  CHECK(stage->ask({.durable = "new"}).error().code == Errc::io);
  stage.disk.fails = false;
  stage.restart();
  CHECK(told(stage->events({.durable = "mirror"})) == Strings{"+a"});
}

TEST_CASE("events: what could not be made durable is not taken for it when it is tried again",
          "[gateway]") {
  Stage stage(1);
  stage->put("a");
  const auto reply = stage->events({.since = 0, .durable = "mirror"});
  stage.disk.fails = true;
  CHECK(stage->ack("mirror", reply.epoch, 1).error().code == Errc::io);
  CHECK(stage->ack("mirror", reply.epoch, 1).error().code == Errc::io);
  CHECK(stage->ask({.durable = "new"}).error().code == Errc::io);
  CHECK(stage->ask({.durable = "new"}).error().code == Errc::io);
  CHECK(stage->ask({.durable = "mirror"}).has_value());  // it is known
  stage.disk.fails = false;
  REQUIRE(stage->ack("mirror", reply.epoch, 1).has_value());
  REQUIRE(stage->ask({.durable = "new"}).has_value());
  stage->put("b");
  stage.restart();
  for (const auto* name : {"mirror", "new"})
    CHECK(told(stage->events({.durable = name})) == Strings{"+b"});
}

TEST_CASE("events: a follower that could not be removed durably is not gone when it is tried again",
          "[gateway]") {
  Stage stage(1);
  REQUIRE(stage->ask({.durable = "mirror"}).has_value());
  const auto remove = [&] {
    return stage.mesh.mesh.run(stage->service.remove({.durable = "mirror"}));
  };
  stage.disk.fails = true;
  CHECK(remove().error().code == Errc::io);
  CHECK(remove().error().code == Errc::io);
  stage.disk.fails = false;
  CHECK(remove().error().code == Errc::not_found);
  stage.restart();
  CHECK(remove().error().code == Errc::not_found);
}

TEST_CASE("events: durable followers are bounded, named and removed", "[gateway]") {
  Stage stage(1);
  for (std::size_t i = 0; i < followers_max; ++i)
    REQUIRE(stage->ask({.durable = "f" + std::to_string(i)}).has_value());
  CHECK(stage->ask({.durable = "one more"}).error().code == Errc::full);
  CHECK(stage->ask({.durable = "f0"}).has_value());
  const auto remove = [&](const std::string& name) {
    return stage.mesh.mesh.run(stage->service.remove({.durable = name}));
  };
  CHECK(remove("f0").has_value());
  CHECK(remove("f0").error().code == Errc::not_found);
  CHECK(stage->ask({.durable = "one more"}).has_value());
  for (const std::string bad : {"", "a\n", "\xC3\xA9"})
    CHECK(stage->ask({.durable = bad}).error().code == Errc::invalid);
  CHECK(stage->ask({.durable = std::string(65, 'a')}).error().code == Errc::invalid);
}

TEST_CASE("events: followers whose file is damaged are told that they may have missed some",
          "[gateway]") {
  Stage stage(1);
  const auto before = stage->events({.durable = "mirror"});
  stage->put("a");
  stage.disk.content = Bytes(100);
  stage.restart();
  const auto reply = stage->events({.durable = "mirror"});
  CHECK(reply.reset);
  CHECK(stage->ack("mirror", reply.epoch, reply.next - 1)->next == reply.next);
  stage->put("b");
  stage.restart();
  CHECK(told(stage->events({.durable = "mirror"})) == Strings{"+b"});
}

TEST_CASE("events: followers whose file cannot be read for now are not forgotten", "[gateway]") {
  Stage stage(1);
  const auto before = stage->events({.durable = "mirror"});
  stage->put("a");
  stage.restart();
  stage.disk.fails = true;
  const auto remove = [&] { return stage.mesh.mesh.run(stage->service.remove({.durable = "x"})); };
  CHECK(stage->ask({.durable = "mirror"}).error().code == Errc::io);
  CHECK(stage->ask({.durable = "another"}).error().code == Errc::io);
  CHECK(stage.mesh.mesh.run(stage->service.followers()).error().code == Errc::io);
  CHECK(remove().error().code == Errc::io);
  stage.disk.fails = false;
  const auto after = stage->events({.durable = "mirror"});
  CHECK_FALSE(after.reset);
  CHECK(after.epoch == before.epoch);
  CHECK(told(after) == Strings{"+a"});
}

TEST_CASE("events: subscribers are told as it happens, and nobody when none is there",
          "[gateway]") {
  Stage stage;
  ListeningSink sink;
  stage->service.set_sink(&sink);
  stage->put("before");
  stage->service.on_subscribed();
  stage.mesh.mesh.world().run_for(std::chrono::seconds(5));
  REQUIRE(stage.mesh.put(1, "a", pattern(1)).has_value());
  REQUIRE(stage.mesh.remove(2, "a").has_value());
  stage.mesh.mesh.world().run_for(std::chrono::milliseconds(500));
  REQUIRE(sink.heard.size() == 2);
  CHECK(topic_of(sink.heard[0].event) == "store a");
  CHECK(topic_of(sink.heard[1].event) == "delete a");
  CHECK(sink.heard[1].event.sequence == sink.heard[0].event.sequence + 1);
  sink.listening = false;
  REQUIRE(stage.mesh.put(1, "b", pattern(1)).has_value());
  stage.mesh.mesh.world().run_for(std::chrono::seconds(100));
  CHECK(sink.heard.size() == 2);
  CHECK_FALSE(stage->gateway->is_followed());
}
