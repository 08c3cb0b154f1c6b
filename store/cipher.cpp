#include "store/cipher.hpp"

#include <sodium.h>

#include <algorithm>
#include <cassert>

namespace zerodb {
namespace {

using Nonce = std::array<std::uint8_t, crypto_aead_xchacha20poly1305_ietf_NPUBBYTES>;
using ChunkAssociated = std::array<std::uint8_t, OwnerId::size + HashedKey::size + BlobId::size>;

static_assert(crypto_aead_xchacha20poly1305_ietf_ABYTES == chunk_overhead_bytes);

/// 15 zero bytes, the last-chunk bit, the index.
Nonce nonce_of(ChunkPosition position) {
  Nonce nonce{};
  nonce[15] = position.last ? 1 : 0;
  put_u64(MutableBytes(nonce).subspan(16), position.index);
  return nonce;
}

ChunkAssociated associated_of(const ChunkBinding& binding) {
  ChunkAssociated associated;
  auto to = associated.begin();
  for (const auto part :
       {binding.object.owner.view(), binding.object.hashed_key.view(), binding.blob_id.view()}) {
    to = std::copy(part.begin(), part.end(), to);
  }
  return associated;
}

crypto_generichash_blake2b_state* blake2b_state(std::uint8_t* bytes) {
  return reinterpret_cast<crypto_generichash_blake2b_state*>(bytes);
}

}  // namespace

std::uint64_t chunk_count_of(std::uint64_t size, std::uint32_t chunk_bytes) {
  assert(chunk_bytes > 0);
  return size == 0 ? 1 : (size - 1) / chunk_bytes + 1;
}

std::uint32_t chunk_size_at(std::uint64_t index, std::uint64_t size, std::uint32_t chunk_bytes) {
  assert(index < chunk_count_of(size, chunk_bytes));
  return static_cast<std::uint32_t>(
      std::min<std::uint64_t>(size - index * chunk_bytes, chunk_bytes));
}

void seal_chunk(const ContentKey& key, const ChunkBinding& binding, ChunkPosition position,
                ByteView plain, MutableBytes sealed) {
  assert(sealed.size() == plain.size() + chunk_overhead_bytes);
  const auto nonce = nonce_of(position);
  const auto associated = associated_of(binding);
  crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data(), nullptr, plain.data(), plain.size(),
                                             associated.data(), associated.size(), nullptr,
                                             nonce.data(), key.view().data());
}

Status open_chunk(const ContentKey& key, const ChunkBinding& binding, ChunkPosition position,
                  ByteView sealed, MutableBytes plain) {
  const auto nonce = nonce_of(position);
  const auto associated = associated_of(binding);
  const bool opened =
      sealed.size() == plain.size() + chunk_overhead_bytes &&
      crypto_aead_xchacha20poly1305_ietf_decrypt(
          plain.data(), nullptr, nullptr, sealed.data(), sealed.size(), associated.data(),
          associated.size(), nonce.data(), key.view().data()) == 0;
  if (opened) return {};
  std::fill(plain.begin(), plain.end(), std::uint8_t{0});
  return fail(Errc::corrupt, "chunk " + std::to_string(position.index) + " of blob " +
                                 binding.blob_id.short_hex() + " does not open");
}

Leaf leaf_of(ByteView sealed) {
  return hash_to<Leaf>("zerodb leaf", {sealed});
}

RootHasher::RootHasher() {
  static_assert(sizeof(crypto_generichash_blake2b_state) <= sizeof state_);
  static_assert(alignof(crypto_generichash_blake2b_state) <= 64);
  crypto_generichash_blake2b_init_salt_personal(blake2b_state(state_.data()), nullptr, 0,
                                                Root::size, nullptr,
                                                personal_of("zerodb root").data());
}

void RootHasher::add(const Leaf& leaf) {
  crypto_generichash_blake2b_update(blake2b_state(state_.data()), leaf.view().data(), Leaf::size);
  ++count_;
}

Root RootHasher::finish() {
  std::array<std::uint8_t, 8> count;
  put_u64(count, count_);
  crypto_generichash_blake2b_update(blake2b_state(state_.data()), count.data(), count.size());
  Root root;
  crypto_generichash_blake2b_final(blake2b_state(state_.data()), root.mutable_view().data(),
                                   Root::size);
  return root;
}

Root root_of(std::span<const Leaf> leaves) {
  RootHasher root;
  for (const auto& leaf : leaves)
    root.add(leaf);
  return root.finish();
}

KeyCommitment commit_to(const ContentKey& key, const BlobId& blob_id) {
  return keyed_hash_to<KeyCommitment>("zerodb commit", key.view(), blob_id.view());
}

Bytes seal_small(const Secret<32>& key, ByteView associated, ByteView plain) {
  Bytes sealed(sizeof(Nonce) + plain.size() + chunk_overhead_bytes);
  const auto nonce = MutableBytes(sealed).first(sizeof(Nonce));
  fill_random(nonce);
  crypto_aead_xchacha20poly1305_ietf_encrypt(sealed.data() + nonce.size(), nullptr, plain.data(),
                                             plain.size(), associated.data(), associated.size(),
                                             nullptr, nonce.data(), key.view().data());
  return sealed;
}

Result<Bytes> open_small(const Secret<32>& key, ByteView associated, ByteView sealed) {
  constexpr auto overhead = sizeof(Nonce) + chunk_overhead_bytes;
  if (sealed.size() < overhead) return fail(Errc::corrupt, "sealed bytes are cut short");
  Bytes plain(sealed.size() - overhead);
  const auto body = sealed.subspan(sizeof(Nonce));
  if (crypto_aead_xchacha20poly1305_ietf_decrypt(plain.data(), nullptr, nullptr, body.data(),
                                                 body.size(), associated.data(), associated.size(),
                                                 sealed.data(), key.view().data()) != 0) {
    return fail(Errc::corrupt, "sealed bytes do not open: damaged, or another key's");
  }
  return plain;
}

}  // namespace zerodb
