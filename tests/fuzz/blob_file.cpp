// A whole blob file, as a disk may give it back: header, leaves, manifest and footer. The sums that
// a damaged file fails by are mended first, or nothing behind them would be read.
#include <sys/mman.h>
#include <unistd.h>

#include "store/blob_format.hpp"
#include "store/blobs.hpp"
#include "store/hash.hpp"
#include "tests/fuzz/target.hpp"

using namespace zerodb;

namespace {

/// One file for all inputs, in memory.
const std::string& path() {
  static const std::string made = [] {
    const int file = ::memfd_create("blob", MFD_CLOEXEC);
    fuzz::require(file >= 0, "a file in memory");
    return "/proc/self/fd/" + std::to_string(file);
  }();
  return made;
}

void write_file(ByteView bytes) {
  auto* file = std::fopen(path().c_str(), "wb");
  fuzz::require(file != nullptr, "the file opens");
  fuzz::require(std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size(), "it is written");
  fuzz::require(std::fclose(file) == 0, "it closes");
}

void put_sum(Bytes& bytes, std::size_t at, std::size_t size, std::string_view domain,
             std::initializer_list<ByteView> of) {
  const auto sum = blake2b_256(domain, of);
  std::copy_n(sum.begin(), size, bytes.begin() + static_cast<std::ptrdiff_t>(at));
}

/// The input with sums that are right, at the places of FORMAT.md.
Bytes mended(ByteView input) {
  auto bytes = to_bytes(input);
  if (bytes.size() < blob_format::header_bytes + blob_format::footer_bytes) return bytes;
  put_sum(bytes, 112, 16, "zerodb blob head", {ByteView(bytes).first(112)});
  const auto foot = bytes.size() - blob_format::footer_bytes;
  const auto footer = blob_format::decode_footer(ByteView(bytes).subspan(foot));
  if (!footer || footer->manifest_at > foot) return bytes;
  const auto wire = ByteView(bytes).subspan(footer->manifest_at);
  if (footer->manifest_bytes > wire.size()) return bytes;
  put_sum(bytes, foot + 32, 24, "zerodb blob foot",
          {wire.first(footer->manifest_bytes), ByteView(bytes).subspan(foot, 32)});
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  write_file(mended({data, size}));
  const auto content = inspect_blob_file(path());
  if (!content) return 0;
  fuzz::require(content->leaves.size() * Leaf::size <= size, "leaves are from the file");
  return 0;
}
