#include "store/keys.hpp"

#include <sodium.h>

#include <mutex>
#include <new>
#include <vector>

namespace zerodb {
namespace {

/// Guarded memory in slots. Every version of an object has a key of its own, and a mapping of its
/// own for each (as sodium_malloc makes) would cost more than sealing a small object does.
/// Thread-safe. Never given back: what is free is wiped and used again.
class GuardedSlots {
 public:
  static constexpr std::size_t slot_bytes = 64;

  std::uint8_t* take() {
    const std::lock_guard lock(mutex_);
    if (free_.empty()) add_block();
    auto* slot = free_.back();
    free_.pop_back();
    return slot;
  }

  void give_back(std::uint8_t* slot) {
    sodium_memzero(slot, slot_bytes);
    const std::lock_guard lock(mutex_);
    free_.push_back(slot);
  }

 private:
  static constexpr std::size_t slots_per_block = 64;  // a page

  void add_block() {
    // A program's first secret may come before anything else of libsodium's.
    if (sodium_init() < 0) throw std::bad_alloc();
    auto* block = static_cast<std::uint8_t*>(sodium_allocarray(slots_per_block, slot_bytes));
    if (block == nullptr) throw std::bad_alloc();
    sodium_memzero(block, slots_per_block * slot_bytes);
    free_.reserve(free_.capacity() + slots_per_block);  // so that give_back() cannot fail
    for (std::size_t i = 0; i < slots_per_block; ++i)
      free_.push_back(block + i * slot_bytes);
  }

  std::mutex mutex_;
  std::vector<std::uint8_t*> free_;
};

/// Lives as long as any secret may.
GuardedSlots& guarded_slots() {
  static auto* slots = new GuardedSlots;
  return *slots;
}

// Subkey numbers of an owner's seed; FORMAT.md lists them. They never change meaning.
constexpr std::uint64_t subkey_signing = 1;
constexpr std::uint64_t subkey_name = 2;
constexpr std::uint64_t subkey_wrap = 3;
constexpr std::uint64_t subkey_catalogue = 4;

Secret<32> derive(const Seed& seed, std::uint64_t number) {
  static constexpr char context[crypto_kdf_CONTEXTBYTES + 1] = "zerodb__";
  Secret<32> subkey;
  crypto_kdf_derive_from_key(subkey.mutable_view().data(), subkey.size, number, context,
                             seed.view().data());
  return subkey;
}

}  // namespace

template <std::size_t Size>
void Secret<Size>::Free::operator()(std::uint8_t* data) const {
  guarded_slots().give_back(data);
}

template <std::size_t Size>
Secret<Size>::Secret() : data_(guarded_slots().take()) {
  static_assert(Size <= GuardedSlots::slot_bytes);
}

template <std::size_t Size>
Secret<Size> Secret<Size>::random() {
  Secret secret;
  fill_random(secret.mutable_view());
  return secret;
}

template <std::size_t Size>
Result<Secret<Size>> Secret<Size>::from(ByteView bytes) {
  if (bytes.size() != Size) {
    return fail(Errc::invalid, "secret: expected " + std::to_string(Size) + " bytes, got " +
                                   std::to_string(bytes.size()));
  }
  Secret secret;
  std::copy(bytes.begin(), bytes.end(), secret.mutable_view().begin());
  return secret;
}

template <std::size_t Size>
Secret<Size> Secret<Size>::clone() const {
  Secret copy;
  std::copy(view().begin(), view().end(), copy.mutable_view().begin());
  return copy;
}

template class Secret<32>;
template class Secret<64>;

void wipe(MutableBytes bytes) {
  sodium_memzero(bytes.data(), bytes.size());
}

bool is_same_secret(ByteView one, ByteView other) {
  return one.size() == other.size() && sodium_memcmp(one.data(), other.data(), one.size()) == 0;
}

SigningKey::SigningKey(const Seed& seed) {
  crypto_sign_seed_keypair(public_key_.mutable_view().data(), secret_.mutable_view().data(),
                           seed.view().data());
}

Seed SigningKey::seed() const {
  Seed seed;
  crypto_sign_ed25519_sk_to_seed(seed.mutable_view().data(), secret_.view().data());
  return seed;
}

Signature SigningKey::sign(ByteView message) const {
  Signature signature;
  crypto_sign_detached(signature.mutable_view().data(), nullptr, message.data(), message.size(),
                       secret_.view().data());
  return signature;
}

bool verify(ByteView signer, ByteView message, const Signature& signature) {
  return signer.size() == crypto_sign_PUBLICKEYBYTES &&
         crypto_sign_verify_detached(signature.view().data(), message.data(), message.size(),
                                     signer.data()) == 0;
}

CurvePair CurvePair::generate() {
  return from_secret(CurveSecret::random());
}

CurvePair CurvePair::from_secret(CurveSecret secret) {
  CurvePair pair{.secret = std::move(secret)};
  crypto_scalarmult_base(pair.public_key.mutable_view().data(), pair.secret.view().data());
  return pair;
}

NodeKeys NodeKeys::generate() {
  return {.curve = CurvePair::generate(), .sign = SigningKey::generate()};
}

OwnerKeys::OwnerKeys(const Seed& seed)
    : seed_(seed.clone()),
      signing_(derive(seed, subkey_signing)),
      name_key_(derive(seed, subkey_name)),
      wrap_key_(derive(seed, subkey_wrap)),
      catalogue_key_(derive(seed, subkey_catalogue)),
      id_(*OwnerId::from(signing_.public_key().view())) {}

HashedKey OwnerKeys::hash_name(std::string_view name) const {
  return keyed_hash_to<HashedKey>("zerodb name", name_key_.view(), as_bytes(name));
}

Status check_name(std::string_view name) {
  if (name.empty()) return fail(Errc::invalid, "a key needs at least one character");
  if (name.size() > name_bytes_max) {
    return fail(Errc::invalid, "key of " + std::to_string(name.size()) + " bytes: at most " +
                                   std::to_string(name_bytes_max) + " are allowed");
  }
  if (!is_utf8(name)) {
    return fail(Errc::invalid, "key '" + printable(name.substr(0, 80)) +
                                   "' is not UTF-8: rename it or store it under another key");
  }
  return {};
}

}  // namespace zerodb
