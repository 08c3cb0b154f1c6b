// Questions of what a node holds before others drop it, and answers to them, when either is wrong.
#include "node/confirm.hpp"

#include <catch2/catch.hpp>

#include "node/entry_codec.hpp"
#include "tests/sim/sealed_object.hpp"
#include "tests/sim/sim_mesh.hpp"

using namespace zerodb;

namespace {

struct ConfirmScene {
  ConfirmScene() : mesh(2), object(sim::seal_object(owner, {.version = Version::at(5'000)})) {
    sim::keep_in(mesh[1].store, object);
  }

  Entry entry() const {
    return {
        .object = object.id(), .version = object.manifest->version, .hash = object.manifest.hash()};
  }
  Result<std::vector<Held>> ask(std::vector<Entry> entries) {
    return mesh.run(ask_to_confirm(mesh[0].context(), mesh[1].id(), std::move(entries)));
  }
  void answer_with(Bytes payload) {
    mesh.network().on_answer = [payload](const NodeId&, const peer::Request& request,
                                         Result<PeerAnswer>& answer) {
      if (!std::holds_alternative<peer::Confirm>(request)) return;
      answer = PeerAnswer{peer::Ok{}, Payload::take(Bytes(payload))};
    };
  }

  sim::SimMesh mesh;
  OwnerKeys owner = OwnerKeys::generate();
  sim::SealedObject object;
};

Errc code_of(const Result<std::vector<Held>>& answers) {
  REQUIRE_FALSE(answers);
  return answers.error().code;
}

}  // namespace

TEST_CASE("confirm: what is held, what is older and what is not there", "[confirm]") {
  ConfirmScene scene;
  auto later = scene.entry();
  later.version.value += 1;
  auto unknown = scene.entry();
  unknown.object.hashed_key = random_id<HashedKey>();
  CHECK(scene.ask({scene.entry(), later, unknown}).value() ==
        std::vector{Held::held, Held::older, Held::nothing});
}

TEST_CASE("confirm: a list that is no whole entries, or too long, is refused", "[confirm]") {
  ConfirmScene scene;
  Bytes page;
  append_entry(page, scene.entry());
  const auto code_for = [&](const Bytes& payload) {
    const auto answer = confirm_entries(scene.mesh[1].store, payload);
    return answer ? std::nullopt : std::optional(answer.error().code);
  };
  CHECK(code_for(page) == std::nullopt);
  auto cut = page;
  cut.pop_back();
  CHECK(code_for(cut) == Errc::invalid);
  auto long_one = page;
  long_one.push_back(0);
  CHECK(code_for(long_one) == Errc::invalid);
  Bytes many;
  for (std::size_t i = 0; i < confirm_entries_max; ++i)
    many.insert(many.end(), page.begin(), page.end());
  CHECK(code_for(many) == std::nullopt);
  many.insert(many.end(), page.begin(), page.end());
  CHECK(code_for(many) == Errc::invalid);
}

TEST_CASE("confirm: over the bus a list beyond the limit is refused and nothing is confirmed",
          "[confirm]") {
  ConfirmScene scene;
  CHECK(code_of(scene.ask(std::vector<Entry>(confirm_entries_max + 1, scene.entry()))) ==
        Errc::invalid);
  CHECK(scene.ask(std::vector<Entry>(confirm_entries_max, scene.entry())).has_value());
}

TEST_CASE("confirm: an answer of another length or with another word confirms nothing",
          "[confirm]") {
  ConfirmScene scene;
  const std::vector<Entry> two(2, scene.entry());
  for (const Bytes& lie :
       {Bytes{}, Bytes{2}, Bytes{2, 2, 2}, Bytes{2, 3}, Bytes{255, 2}, Bytes(100'000, 2)}) {
    scene.answer_with(lie);
    CHECK(code_of(scene.ask(two)) == Errc::invalid);
  }
  scene.answer_with({2, 0});
  CHECK(scene.ask(two).value() == std::vector{Held::held, Held::nothing});
}

TEST_CASE("confirm: who answers nonsense makes nobody drop anything", "[confirm]") {
  sim::SimMeshOptions options;
  options.node.hand_over.interval = std::chrono::seconds(5);
  sim::SimMesh mesh(4, options);
  REQUIRE(mesh.run_until_moved());
  const auto owner = OwnerKeys::generate();
  const auto object = sim::seal_object(owner, {.version = Version::at(mesh[0].runtime.now_ms())});
  const auto partition = partition_of(object.id().hashed_key);
  std::size_t elsewhere = 0;
  while (mesh[elsewhere].mesh.is_placed_here(partition))
    ++elsewhere;
  for (std::size_t node = 0; node < 4; ++node)
    sim::keep_in(mesh[node].store, object);
  std::size_t asked = 0;
  mesh.network().on_answer = [&](const NodeId&, const peer::Request& request,
                                 Result<PeerAnswer>& answer) {
    if (!std::holds_alternative<peer::Confirm>(request)) return;
    ++asked;
    answer = PeerAnswer{peer::Ok{}, Payload::take(Bytes{2, 2})};  // of one entry
  };
  mesh.world().run_for(std::chrono::minutes(2));
  CHECK(asked > 0);
  CHECK(mesh[elsewhere].store.latest(object.id())->has_value());
  mesh.network().on_answer = nullptr;
  mesh.world().run_for(std::chrono::minutes(20));
  CHECK_FALSE(mesh[elsewhere].store.latest(object.id())->has_value());
}
