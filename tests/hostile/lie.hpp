#pragma once
// A lie: one way in which a member of a mesh can misbehave, with a valid key. It twists what the
// liar's real node would say, says something in its place, or speaks unasked. Runs on the network
// thread of the liar's daemon, but for what a lie does on threads of its own.

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "node/daemon.hpp"

namespace zerodb::hostile {

class Lie {
 public:
  virtual ~Lie() = default;

  /// The daemon serves. `parts` outlive the lie.
  virtual void begin(const DaemonParts& /*parts*/) {}

  /// What is said in the node's place; nothing: ask the node (or the next lie).
  virtual Task<std::optional<Result<PeerAnswer>>> answer(Caller /*caller*/,
                                                         const peer::Request& /*request*/,
                                                         const Payload& /*payload*/) {
    co_return std::nullopt;
  }

  /// What becomes of the node's own answer.
  virtual void twist(const peer::Request& /*request*/, PeerAnswer& /*answer*/) {}

  /// What becomes of the liar's own greeting, as it is sent.
  virtual void twist_hello(peer::Hello& /*hello*/) {}

  /// What another member said, before the node hears it.
  virtual void hear(const peer::Request& /*request*/) {}
  virtual void hear(const broadcast::Message& /*message*/) {}
};

struct NamedLie {
  std::string_view name;
  std::string_view what;
  std::function<std::unique_ptr<Lie>()> make;
};

// One list for each of the files that lies are kept in.
std::span<const NamedLie> lies_about_bytes();
std::span<const NamedLie> lies_about_holdings();
std::span<const NamedLie> lies_about_membership();
std::span<const NamedLie> lies_in_time();
std::span<const NamedLie> lies_on_the_wire();
std::span<const NamedLie> lies_in_broadcasts();
std::span<const NamedLie> floods();

// ---------------------------------------------------------------------------------- small lies

using TwistAnswer = std::function<void(const peer::Request&, PeerAnswer&)>;
using SayInstead =
    std::function<std::optional<Result<PeerAnswer>>(const DaemonParts&, const peer::Request&)>;

/// A lie that is one function.
std::function<std::unique_ptr<Lie>()> twisting(TwistAnswer twist);
std::function<std::unique_ptr<Lie>()> saying(SayInstead say);
std::function<std::unique_ptr<Lie>()> greeting(std::function<void(peer::Hello&)> twist);

/// For lies that are classes.
template <class Kind>
std::function<std::unique_ptr<Lie>()> making() {
  return [] { return std::make_unique<Kind>(); };
}

Bytes random_bytes(std::size_t size);
Payload random_payload(std::size_t size);

}  // namespace zerodb::hostile
