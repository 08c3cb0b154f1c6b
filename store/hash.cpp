#include "store/hash.hpp"

#include <sodium.h>

#include <cassert>

namespace zerodb {

std::array<std::uint8_t, 16> personal_of(std::string_view domain) {
  std::array<std::uint8_t, 16> personal{};
  assert(domain.size() <= personal.size());
  std::copy(domain.begin(), domain.end(), personal.begin());
  return personal;
}

std::array<std::uint8_t, 32> blake2b_256(std::string_view domain,
                                         std::initializer_list<ByteView> parts) {
  const auto personal = personal_of(domain);
  crypto_generichash_blake2b_state state;
  std::array<std::uint8_t, 32> hash;
  crypto_generichash_blake2b_init_salt_personal(&state, nullptr, 0, hash.size(), nullptr,
                                                personal.data());
  for (const auto part : parts) {
    crypto_generichash_blake2b_update(&state, part.data(), part.size());
  }
  crypto_generichash_blake2b_final(&state, hash.data(), hash.size());
  return hash;
}

std::array<std::uint8_t, 32> keyed_blake2b_256(std::string_view domain, ByteView key,
                                               ByteView message) {
  assert(key.size() == crypto_generichash_blake2b_KEYBYTES);
  const auto personal = personal_of(domain);
  std::array<std::uint8_t, 32> hash;
  crypto_generichash_blake2b_salt_personal(hash.data(), hash.size(), message.data(), message.size(),
                                           key.data(), key.size(), nullptr, personal.data());
  return hash;
}

std::uint64_t placement_hash(std::initializer_list<ByteView> parts) {
  static constexpr std::string_view key = "zerodb placement";
  static_assert(key.size() == crypto_shorthash_siphash24_KEYBYTES);
  Bytes all;
  for (const auto part : parts)
    all.insert(all.end(), part.begin(), part.end());
  std::array<std::uint8_t, crypto_shorthash_siphash24_BYTES> hash;
  crypto_shorthash_siphash24(hash.data(), all.data(), all.size(), as_bytes(key).data());
  // SipHash is defined as a little-endian number, unlike everything else here.
  std::reverse(hash.begin(), hash.end());
  return get_u64(hash);
}

void fill_random(MutableBytes out) {
  // libsodium takes no null pointer, which is what an empty span may hold.
  if (!out.empty()) randombytes_buf(out.data(), out.size());
}

Status initialise_crypto() {
  if (sodium_init() < 0) {
    return fail(Errc::io, "libsodium: cannot start: this machine gives no random bytes");
  }
  return {};
}

}  // namespace zerodb
