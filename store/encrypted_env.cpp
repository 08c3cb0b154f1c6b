#include "store/encrypted_env.hpp"

#include <rocksdb/env_encryption.h>
#include <sodium.h>

#include <algorithm>
#include <array>
#include <optional>

#include "store/file.hpp"

namespace zerodb {
namespace {

// A file's head: magic ‖ nonce ‖ proof. A whole number of cipher blocks.
constexpr std::string_view magic = "zdb-ctlg";
constexpr std::size_t nonce_bytes = crypto_stream_xchacha20_NONCEBYTES;
constexpr std::size_t proof_bytes = 32;
constexpr std::size_t head_bytes = magic.size() + nonce_bytes + proof_bytes;
constexpr std::size_t block_bytes = 64;
static_assert(head_bytes == block_bytes);

using Key = std::shared_ptr<const Secret<32>>;
using Nonce = std::array<std::uint8_t, nonce_bytes>;

std::array<std::uint8_t, proof_bytes> prove(const Secret<32>& key, ByteView nonce) {
  return keyed_blake2b_256("zerodb ctlg head", key.view(), nonce);
}

/// The nonce of a file that begins with `head`; nothing if that is of no file of this key.
std::optional<Nonce> read_head(ByteView head, const Secret<32>& key) {
  if (head.size() != head_bytes || !as_text(head).starts_with(magic)) return {};
  Nonce nonce;
  std::ranges::copy(head.subspan(magic.size(), nonce_bytes), nonce.begin());
  if (!std::ranges::equal(prove(key, nonce), head.last(proof_bytes))) return {};
  return nonce;
}

/// The whole file is one key stream, its head included: offset 0 of it is never used.
class FileCipher final : public rocksdb::BlockAccessCipherStream {
 public:
  FileCipher(Key key, const Nonce& nonce) : key_(std::move(key)), nonce_(nonce) {}

  std::size_t BlockSize() override { return block_bytes; }

  rocksdb::Status Encrypt(std::uint64_t offset, char* data, std::size_t size) override {
    apply(offset, {reinterpret_cast<std::uint8_t*>(data), size});
    return rocksdb::Status::OK();
  }
  rocksdb::Status Decrypt(std::uint64_t offset, char* data, std::size_t size) override {
    return Encrypt(offset, data, size);
  }

 protected:
  // Encrypt and Decrypt above take any range, so RocksDB never goes block by block.
  void AllocateScratch(std::string&) override {}
  rocksdb::Status EncryptBlock(std::uint64_t, char*, char*) override {
    return rocksdb::Status::NotSupported("block by block");
  }
  rocksdb::Status DecryptBlock(std::uint64_t, char*, char*) override {
    return rocksdb::Status::NotSupported("block by block");
  }

 private:
  /// Encrypts or decrypts, which is the same.
  void apply(std::uint64_t offset, MutableBytes data) const {
    if (const auto skipped = offset % block_bytes; skipped != 0) {
      std::array<std::uint8_t, block_bytes> block{};
      const auto part = data.first(std::min(data.size(), block_bytes - skipped));
      std::ranges::copy(part, block.begin() + static_cast<std::ptrdiff_t>(skipped));
      apply_blocks(offset / block_bytes, block);
      std::copy_n(block.begin() + static_cast<std::ptrdiff_t>(skipped), part.size(), part.begin());
      data = data.subspan(part.size());
      offset += part.size();
    }
    if (!data.empty()) apply_blocks(offset / block_bytes, data);
  }

  void apply_blocks(std::uint64_t first, MutableBytes data) const {
    crypto_stream_xchacha20_xor_ic(data.data(), data.data(), data.size(), nonce_.data(), first,
                                   key_->view().data());
  }

  Key key_;
  Nonce nonce_;
};

class FileCiphers final : public rocksdb::EncryptionProvider {
 public:
  explicit FileCiphers(const Secret<32>& key)
      : key_(std::make_shared<const Secret<32>>(key.clone())) {}

  const char* Name() const override { return "zerodb"; }
  std::size_t GetPrefixLength() const override { return head_bytes; }

  rocksdb::Status CreateNewPrefix(const std::string&, char* head, std::size_t size) const override {
    if (size != head_bytes) return rocksdb::Status::InvalidArgument("length of a file's head");
    Nonce nonce;
    fill_random(nonce);
    auto* at = std::copy(magic.begin(), magic.end(), head);
    at = std::copy(nonce.begin(), nonce.end(), at);
    std::ranges::copy(prove(*key_, nonce), at);
    return rocksdb::Status::OK();
  }

  rocksdb::Status AddCipher(const std::string&, const char*, std::size_t, bool) override {
    return rocksdb::Status::NotSupported("another cipher");
  }

  rocksdb::Status CreateCipherStream(
      const std::string& file, const rocksdb::EnvOptions&, rocksdb::Slice& head,
      std::unique_ptr<rocksdb::BlockAccessCipherStream>* result) override {
    const auto nonce = read_head(as_bytes({head.data(), head.size()}), *key_);
    if (!nonce) return rocksdb::Status::Corruption(file, "it is damaged, or of another key");
    *result = std::make_unique<FileCipher>(key_, *nonce);
    return rocksdb::Status::OK();
  }

 private:
  Key key_;
};

}  // namespace

Result<FileHead> look_at_head(const std::filesystem::path& file, const Secret<32>& key) {
  std::array<std::uint8_t, head_bytes> head{};
  const auto opened = File::open_for_reading(file);
  if (!opened) return fail(opened.error());
  const auto got = opened->read_at(0, head);
  if (!got) return fail(got.error());
  if (*got < head_bytes) return FileHead::cut;
  return read_head(head, key) ? FileHead::own : FileHead::other;
}

std::unique_ptr<rocksdb::Env> make_encrypted_env(const Secret<32>& key) {
  return std::unique_ptr<rocksdb::Env>(
      rocksdb::NewEncryptedEnv(rocksdb::Env::Default(), std::make_shared<FileCiphers>(key)));
}

}  // namespace zerodb
