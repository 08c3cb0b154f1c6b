// Bytes and manifests that are not what they are said to be.
#include <map>

#include "store/manifest.hpp"
#include "tests/hostile/lie.hpp"
#include "tests/sim/sealed_object.hpp"

namespace zerodb::hostile {

namespace {

using sim::seal_object;

template <class Request>
const Request* asked(const peer::Request& request) {
  return std::get_if<Request>(&request);
}

Bytes* manifest_in(PeerAnswer& answer) {
  auto* reply = std::get_if<peer::GetManifest::Reply>(&answer.message);
  return reply != nullptr && reply->manifest ? &*reply->manifest : nullptr;
}

const Bytes* manifest_put(const peer::Request& request) {
  if (const auto* put = asked<peer::PutInline>(request)) return &put->manifest;
  if (const auto* put = asked<peer::PutCommit>(request)) return &put->manifest;
  return nullptr;
}

void corrupt_chunks(const peer::Request& request, PeerAnswer& answer) {
  const bool has_bytes = asked<peer::GetChunk>(request) || asked<peer::GetManifest>(request);
  if (has_bytes && !answer.payload.empty()) answer.payload = random_payload(answer.payload.size());
}

void corrupt_leaves(const peer::Request& request, PeerAnswer& answer) {
  if (asked<peer::GetLeaves>(request)) answer.payload = random_payload(answer.payload.size());
}

void flip_a_bit(const peer::Request&, PeerAnswer& answer) {
  if (auto* manifest = manifest_in(answer)) (*manifest)[manifest->size() / 2] ^= 1;
}

void make_up_proofs(const peer::Request& request, PeerAnswer& answer) {
  if (asked<peer::Prove>(request)) answer.payload = random_payload(answer.payload.size());
}

/// Answers with the manifest of an object that was asked for before.
class OtherObject final : public Lie {
 public:
  void twist(const peer::Request&, PeerAnswer& answer) override {
    auto* manifest = manifest_in(answer);
    if (manifest == nullptr) return;
    std::swap(*manifest, before_);
    if (manifest->empty()) *manifest = before_;
  }

 private:
  Bytes before_;
};

/// Signs with its own owner key what it says another owner stored: a later version, by a minute.
class ForgedManifest final : public Lie {
 public:
  void begin(const DaemonParts& parts) override { parts_ = &parts; }
  Task<std::optional<Result<PeerAnswer>>> answer(Caller, const peer::Request& request,
                                                 const Payload&) override {
    const auto* question = asked<peer::GetManifest>(request);
    if (question == nullptr || parts_ == nullptr) co_return std::nullopt;
    const auto version = Version::at(parts_->context.runtime.now_ms() + 30'000);
    auto made_up = seal_object(own_, {.name = "forged", .size = 100, .version = version});
    auto manifest = made_up.manifest.manifest();
    manifest.object = {.owner = question->owner, .hashed_key = question->hashed_key};
    peer::GetManifest::Reply reply{.manifest = SignedManifest::sign(manifest, own_).wire()};
    co_return PeerAnswer{std::move(reply), Payload::take(std::move(made_up.chunks[0]))};
  }

 private:
  OwnerKeys own_ = OwnerKeys::generate();
  const DaemonParts* parts_ = nullptr;
};

/// Goes on showing the first version of an object that it heard of.
class OlderVersion final : public Lie {
 public:
  void hear(const peer::Request& request) override {
    const auto* wire = manifest_put(request);
    if (wire == nullptr || first_.size() >= objects_max) return;
    const auto manifest = SignedManifest::verify(*wire);
    if (manifest) first_.try_emplace((*manifest)->object, *wire);
  }
  void twist(const peer::Request& request, PeerAnswer& answer) override {
    const auto* question = asked<peer::GetManifest>(request);
    auto* reply = std::get_if<peer::GetManifest::Reply>(&answer.message);
    if (question == nullptr || reply == nullptr) return;
    const auto known = first_.find({question->owner, question->hashed_key});
    if (known == first_.end()) return;
    reply->manifest = known->second;
    answer.payload = {};
  }

 private:
  static constexpr std::size_t objects_max = 100'000;
  std::map<ObjectId, Bytes> first_;
};

const std::array byte_lies{
    NamedLie{"chunks", "random bytes of the right length in place of sealed chunks",
             twisting(corrupt_chunks)},
    NamedLie{"leaves", "random leaves", twisting(corrupt_leaves)},
    NamedLie{"manifest-bit", "manifests with one bit flipped", twisting(flip_a_bit)},
    NamedLie{"manifest-other", "another object's manifest", making<OtherObject>()},
    NamedLie{"manifest-forged", "later versions, signed with its own owner key",
             making<ForgedManifest>()},
    NamedLie{"manifest-older", "the first version it heard of, whatever came later",
             making<OlderVersion>()},
    NamedLie{"proofs", "made-up proofs of holding chunks", twisting(make_up_proofs)},
};

}  // namespace

std::span<const NamedLie> lies_about_bytes() {
  return byte_lies;
}

}  // namespace zerodb::hostile
