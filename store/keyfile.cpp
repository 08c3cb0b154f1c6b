#include "store/keyfile.hpp"

#include <fcntl.h>
#include <sodium.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "store/cipher.hpp"

namespace zerodb {
namespace {

namespace fs = std::filesystem;

// ---- small files

std::string quoted(const fs::path& path) {
  return "'" + printable(path.string()) + "'";
}

Error error_of(int number, std::string_view doing, const fs::path& path) {
  const auto code = number == ENOSPC || number == EDQUOT ? Errc::full
                    : number == ENOENT                   ? Errc::not_found
                                                         : Errc::io;
  return {code, "cannot " + std::string(doing) + " " + quoted(path) + ": " +
                    std::generic_category().message(number)};
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return number_; }
  explicit operator bool() const { return number_ >= 0; }

 private:
  int number_;
};

/// Removes the temporary name, whatever became of the file.
class TemporaryName {
 public:
  explicit TemporaryName(fs::path path) : path_(std::move(path)) {}
  ~TemporaryName() { ::unlink(path_.c_str()); }
  TemporaryName(const TemporaryName&) = delete;
  TemporaryName& operator=(const TemporaryName&) = delete;

  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

bool write_all(int file, ByteView bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

/// False, with errno set, unless all of it is on the disk.
bool write_new_file(const fs::path& path, ByteView content) {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  return file && ::fchmod(file.get(), 0600) == 0 && write_all(file.get(), content) &&
         ::fsync(file.get()) == 0;
}

bool sync_folder(const fs::path& folder) {
  const Descriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return opened && ::fsync(opened.get()) == 0;
}

/// Reads at most `bytes_max` + 1 bytes, so that a longer file shows.
Result<Bytes> read_some(int file, const fs::path& path, std::size_t bytes_max) {
  Bytes bytes(bytes_max + 1);
  std::size_t filled = 0;
  while (filled < bytes.size()) {
    const auto got = ::read(file, bytes.data() + filled, bytes.size() - filled);
    if (got == 0) break;
    if (got < 0 && errno != EINTR) return fail(error_of(errno, "read", path));
    if (got > 0) filled += static_cast<std::size_t>(got);
  }
  bytes.resize(filled);  // never moves: no copy of the secret stays behind
  return bytes;
}

// ---- key files

// magic, 8 bytes ‖ format ‖ kind ‖ body ‖ checksum over all before
constexpr std::string_view node_magic = "zdb-node";
constexpr std::string_view seed_magic = "zdb-seed";
constexpr std::uint8_t keyfile_format_known = 1;
constexpr std::size_t frame_head_bytes = 10;
constexpr std::size_t checksum_bytes = 32;

enum class Kind : std::uint8_t { plain = 0, argon2id = 1 };

// The body of a locked seed: operations, memory, salt, sealed seed.
constexpr std::size_t cost_bytes = 16;
constexpr std::size_t salt_bytes = crypto_pwhash_argon2id_SALTBYTES;
constexpr std::size_t sealed_seed_bytes = 24 + Seed::size + chunk_overhead_bytes;
constexpr std::size_t locked_body_bytes = cost_bytes + salt_bytes + sealed_seed_bytes;
constexpr std::uint64_t operations_max = 10;
constexpr std::uint64_t memory_bytes_max = 1ULL << 30;

/// Bytes that are wiped when dropped. Made at full length, so that no growth leaves copies.
class WipedBytes {
 public:
  explicit WipedBytes(Bytes bytes) : bytes_(std::move(bytes)) {}
  ~WipedBytes() { wipe(bytes_); }
  WipedBytes(WipedBytes&& other) noexcept = default;
  WipedBytes& operator=(WipedBytes&&) = delete;

  ByteView view() const { return bytes_; }

 private:
  Bytes bytes_;
};

WipedBytes frame(std::string_view magic, Kind kind, std::initializer_list<ByteView> body) {
  std::size_t size = frame_head_bytes + checksum_bytes;
  for (const auto part : body)
    size += part.size();
  Bytes file;
  file.reserve(size);
  file.insert(file.end(), magic.begin(), magic.end());
  file.push_back(keyfile_format_known);
  file.push_back(static_cast<std::uint8_t>(kind));
  for (const auto part : body)
    file.insert(file.end(), part.begin(), part.end());
  const auto checksum = blake2b_256("zerodb key file", {file});
  file.insert(file.end(), checksum.begin(), checksum.end());
  return WipedBytes(std::move(file));
}

struct Frame {
  WipedBytes file;
  Kind kind = Kind::plain;

  ByteView head() const { return file.view().first(frame_head_bytes); }
  ByteView body() const {
    return file.view().subspan(frame_head_bytes,
                               file.view().size() - frame_head_bytes - checksum_bytes);
  }
};

tl::unexpected<Error> damaged(const fs::path& path) {
  return fail(Errc::corrupt, "key file " + quoted(path) +
                                 " is damaged: restore it from a copy or from the recovery text");
}

Result<Frame> read_frame(const fs::path& path, std::string_view magic) {
  auto content = read_secret_file(path);
  if (!content) return fail(std::move(content.error()));
  Frame read{.file = WipedBytes(std::move(*content)), .kind = Kind::plain};
  const auto file = read.file.view();
  if (file.size() < magic.size() || as_text(file.first(magic.size())) != magic) {
    return fail(Errc::corrupt, quoted(path) + " is not a key file of this kind");
  }
  if (file.size() < frame_head_bytes + checksum_bytes) return damaged(path);
  if (file[8] > keyfile_format_known) {
    return fail(Errc::invalid, "key file " + quoted(path) + " has format " +
                                   std::to_string(file[8]) + ", newer than this program knows (" +
                                   std::to_string(keyfile_format_known) +
                                   "): install a newer zerodb");
  }
  const auto checksum = blake2b_256("zerodb key file", {file.first(file.size() - checksum_bytes)});
  if (!std::ranges::equal(checksum, file.last(checksum_bytes)) || file[8] == 0 || file[9] > 1) {
    return damaged(path);
  }
  read.kind = static_cast<Kind>(file[9]);
  return read;
}

struct Cost {
  std::uint64_t operations = 0;
  std::uint64_t memory_bytes = 0;
};

Cost cost_of(PassphraseCost cost) {
  if (cost == PassphraseCost::interactive) {
    return {crypto_pwhash_argon2id_OPSLIMIT_INTERACTIVE,
            crypto_pwhash_argon2id_MEMLIMIT_INTERACTIVE};
  }
  return {crypto_pwhash_argon2id_OPSLIMIT_MODERATE, crypto_pwhash_argon2id_MEMLIMIT_MODERATE};
}

bool is_affordable(const Cost& cost) {
  return cost.operations >= crypto_pwhash_argon2id_OPSLIMIT_MIN &&
         cost.operations <= operations_max &&
         cost.memory_bytes >= crypto_pwhash_argon2id_MEMLIMIT_MIN &&
         cost.memory_bytes <= memory_bytes_max;
}

Result<Secret<32>> key_from_passphrase(std::string_view passphrase, ByteView salt,
                                       const Cost& cost) {
  Secret<32> key;
  if (crypto_pwhash_argon2id(key.mutable_view().data(), key.size, passphrase.data(),
                             passphrase.size(), salt.data(), cost.operations, cost.memory_bytes,
                             crypto_pwhash_argon2id_ALG_ARGON2ID13) != 0) {
    return fail(Errc::io, "Argon2id: " + std::to_string(cost.memory_bytes >> 20) +
                              " MiB of memory are needed and were not to be had");
  }
  return key;
}

Status save_locked(const fs::path& path, const Seed& seed, std::string_view passphrase,
                   WriteFileOptions options, const Cost& cost) {
  std::array<std::uint8_t, cost_bytes + salt_bytes> parameters;
  put_u64(parameters, cost.operations);
  put_u64(MutableBytes(parameters).subspan(8), cost.memory_bytes);
  const auto salt = MutableBytes(parameters).subspan(cost_bytes);
  fill_random(salt);
  const auto key = key_from_passphrase(passphrase, salt, cost);
  if (!key) return fail(key.error());
  const auto sealed = seal_small(*key, parameters, seed.view());
  return write_secret_file(path, frame(seed_magic, Kind::argon2id, {parameters, sealed}).view(),
                           options);
}

Result<Seed> open_locked(const fs::path& path, ByteView body, std::string_view passphrase) {
  if (body.size() != locked_body_bytes) return damaged(path);
  const Cost cost{.operations = get_u64(body), .memory_bytes = get_u64(body.subspan(8))};
  if (!is_affordable(cost)) {
    return fail(Errc::corrupt, "key file " + quoted(path) +
                                   " asks for more work or memory than any passphrase is worth");
  }
  const auto parameters = body.first(cost_bytes + salt_bytes);
  const auto key = key_from_passphrase(passphrase, parameters.subspan(cost_bytes), cost);
  if (!key) return fail(key.error());
  auto opened = open_small(*key, parameters, body.subspan(parameters.size()));
  if (!opened) return fail(Errc::denied, "wrong passphrase for " + quoted(path));
  const WipedBytes plain(std::move(*opened));
  return Seed::from(plain.view());
}

}  // namespace

Status write_secret_file(const fs::path& path, ByteView content, WriteFileOptions options) {
  const auto folder = folder_of(path);
  std::array<std::uint8_t, 8> random;
  fill_random(random);
  const TemporaryName temporary(folder / ("." + path.filename().string() + "." + to_hex(random)));
  if (!write_new_file(temporary.path(), content)) return fail(error_of(errno, "write", path));
  // A link, unlike a rename, never takes the place of a file that somebody made meanwhile.
  const auto* from = temporary.path().c_str();
  const int placed = options.replace ? ::rename(from, path.c_str()) : ::link(from, path.c_str());
  if (placed != 0 && errno == EEXIST) {
    return fail(Errc::invalid, quoted(path) + " exists already and is left as it was");
  }
  if (placed != 0) return fail(error_of(errno, "write", path));
  if (!sync_folder(folder)) return fail(error_of(errno, "sync the folder of", path));
  return {};
}

Result<Bytes> read_secret_file(const fs::path& path, std::size_t bytes_max) {
  // Non-blocking, so that a pipe of this name cannot hold us up.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file) return fail(error_of(errno, "open", path));
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return fail(error_of(errno, "examine", path));
  if (!S_ISREG(status.st_mode)) return fail(Errc::io, quoted(path) + " is not a regular file");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return fail(Errc::denied, "secret file " + quoted(path) +
                                  " is open to other users: run `chmod 600 " +
                                  printable(path.string()) + "`");
  }
  auto bytes = read_some(file.get(), path, bytes_max);
  if (bytes && bytes->size() > bytes_max) {
    wipe(*bytes);
    return fail(Errc::corrupt, quoted(path) + " is longer than any key file");
  }
  return bytes;
}

Status NodeKeyFile::save(const fs::path& path, const NodeKeys& keys) {
  const auto sign_seed = keys.sign.seed();
  const auto file = frame(node_magic, Kind::plain, {keys.curve.secret.view(), sign_seed.view()});
  return write_secret_file(path, file.view());
}

Result<NodeKeys> NodeKeyFile::load(const fs::path& path) {
  const auto read = read_frame(path, node_magic);
  if (!read) return fail(read.error());
  const auto body = read->body();
  if (read->kind != Kind::plain || body.size() != CurveSecret::size + Seed::size) {
    return damaged(path);
  }
  return NodeKeys{
      .curve = CurvePair::from_secret(*CurveSecret::from(body.first(CurveSecret::size))),
      .sign = SigningKey(*Seed::from(body.subspan(CurveSecret::size)))};
}

Status SeedFile::save(const fs::path& path, const Seed& seed,
                      std::optional<std::string_view> passphrase, WriteFileOptions options,
                      PassphraseCost cost) {
  if (passphrase) return save_locked(path, seed, *passphrase, options, cost_of(cost));
  return write_secret_file(path, frame(seed_magic, Kind::plain, {seed.view()}).view(), options);
}

Result<bool> SeedFile::is_locked(const fs::path& path) {
  const auto read = read_frame(path, seed_magic);
  if (!read) return fail(read.error());
  return read->kind == Kind::argon2id;
}

Result<Seed> SeedFile::load(const fs::path& path, std::optional<std::string_view> passphrase) {
  const auto read = read_frame(path, seed_magic);
  if (!read) return fail(read.error());
  if (read->kind == Kind::plain) {
    if (read->body().size() != Seed::size) return damaged(path);
    return Seed::from(read->body());
  }
  if (!passphrase) {
    return fail(Errc::invalid, "key file " + quoted(path) + " needs its passphrase");
  }
  return open_locked(path, read->body(), *passphrase);
}

}  // namespace zerodb
