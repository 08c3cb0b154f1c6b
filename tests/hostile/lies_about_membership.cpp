// Who belongs to the mesh, how far one is with a roster, and where one listens.
#include "node/roster.hpp"
#include "store/hash.hpp"
#include "tests/hostile/lie.hpp"

namespace zerodb::hostile {

namespace {

/// A roster without `parts`' other members, a version later, signed with a key of its own.
Bytes forged_roster(const DaemonParts& parts, bool other_mesh) {
  const auto key = SigningKey::generate();
  auto roster = parts.context.mesh.roster();
  roster.version += 1;
  std::erase_if(roster.members, [&](const RosterMember& member) {
    return member.node != parts.keys.curve.public_key;
  });
  if (other_mesh) roster.mesh = random_id<MeshId>();
  return SignedRoster::sign(roster, key).wire();
}

/// Claims a later roster in each greeting, and hands out one that the mesh's key did not sign.
class FalseRoster final : public Lie {
 public:
  void begin(const DaemonParts& parts) override { parts_ = &parts; }
  void twist_hello(peer::Hello& hello) override {
    hello.roster_version += 1 + ++claims_;
    hello.roster_hash = random_bytes(32);
  }
  void twist(const peer::Request&, PeerAnswer& answer) override {
    auto* reply = std::get_if<peer::GetRoster::Reply>(&answer.message);
    if (reply == nullptr) return;
    reply->roster = forged_roster(*parts_, claims_ % 2 == 0);
    reply->older.assign(100, forged_roster(*parts_, false));
    reply->records.assign(1'000, random_bytes(200));
  }

 private:
  const DaemonParts* parts_ = nullptr;
  std::uint64_t claims_ = 0;
};

/// Says goodbye to each member with a roster that leaves it out.
class FalseFarewell final : public Lie {
 public:
  void begin(const DaemonParts& parts) override {
    parts_ = &parts;
    spawn(parts.context.runtime, say());
  }

 private:
  Task<void> say() {
    while (true) {
      co_await parts_->context.runtime.sleep(Milliseconds(200));
      for (const auto& member : parts_->membership.members()) {
        peer::NewRoster news{.roster = forged_roster(*parts_, false)};
        const peer::Request request(std::move(news));
        auto told = co_await parts_->links.call(member.node, request, {}, Milliseconds(1'000));
        static_cast<void>(told);
      }
    }
  }
  const DaemonParts* parts_ = nullptr;
};

void claim_to_be_lost(peer::Hello& hello) {
  hello.working_version = 0;
  hello.settled_version = 0;
  hello.clean_version = 0;
}

void claim_to_be_done(peer::Hello& hello) {
  hello.working_version = ~std::uint64_t{0};
  hello.settled_version = ~std::uint64_t{0};
  hello.clean_version = ~std::uint64_t{0};
  hello.administers = true;
}

/// Another progress with each greeting.
void claim_at_random(peer::Hello& hello) {
  std::array<std::uint8_t, 4> dice{};
  fill_random(dice);
  hello.working_version = dice[0] % 4;
  hello.settled_version = dice[1] % 4;
  hello.clean_version = dice[2] % 4;
  hello.missed_writes = dice[3];
  hello.records_digest = random_bytes(32);
}

const std::array membership_lies{
    NamedLie{"roster", "later rosters that the mesh's key did not sign, or of another mesh",
             making<FalseRoster>()},
    NamedLie{"farewell", "tells members that they are members no more", making<FalseFarewell>()},
    NamedLie{"progress-lost", "its store is lost, all the time", greeting(claim_to_be_lost)},
    NamedLie{"progress-done", "settled and clean under rosters to come, and an administrator",
             greeting(claim_to_be_done)},
    NamedLie{"progress-random", "another progress with each greeting", greeting(claim_at_random)},
};

}  // namespace

std::span<const NamedLie> lies_about_membership() {
  return membership_lies;
}

}  // namespace zerodb::hostile
