#include "store/torn_log.hpp"

#include <algorithm>
#include <array>
#include <vector>

#include "store/file.hpp"

namespace zerodb {

namespace {

namespace fs = std::filesystem;

// A log is a row of blocks, and no record crosses the end of one: a long one is cut in parts. A
// record is a checksum, the length of its bytes, its type, and its bytes; numbers are
// little-endian. What is left of a block and too short for a record's head is zero.
constexpr std::size_t log_block_bytes = 32 << 10;
constexpr std::size_t record_head_bytes = 4 + 2 + 1;
enum RecordType : std::uint8_t { whole_record = 1, first_part, middle_part, last_part };

// ------------------------------------------------------------------------------------ checksum

/// CRC-32C (RFC 3720, appendix B.4), byte by byte.
constexpr auto crc_table = [] {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < table.size(); ++i) {
    auto crc = i;
    for (int bit = 0; bit < 8; ++bit)
      crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
    table[i] = crc;
  }
  return table;
}();

class Crc {
 public:
  explicit Crc(std::uint8_t first) { add(first); }

  void add(std::uint8_t byte) { crc_ = crc_ >> 8 ^ crc_table[(crc_ ^ byte) & 0xff]; }
  /// As logs hold it: rotated, and a constant added.
  std::uint32_t masked() const {
    const auto crc = ~crc_;
    return (crc >> 15 | crc << 17) + 0xa282ead8U;
  }

 private:
  std::uint32_t crc_ = ~0U;
};

// ------------------------------------------------------------------------------------- records

struct Record {
  std::uint32_t checksum;  ///< of type and bytes
  std::size_t length;
  std::uint8_t type;

  static Record read(ByteView head) {
    return {.checksum = head[0] | static_cast<std::uint32_t>(head[1]) << 8 |
                        static_cast<std::uint32_t>(head[2]) << 16 |
                        static_cast<std::uint32_t>(head[3]) << 24,
            .length = head[4] | static_cast<std::size_t>(head[5]) << 8,
            .type = head[6]};
  }

  bool is_of(ByteView bytes) const {
    Crc crc(type);
    for (const auto byte : bytes)
      crc.add(byte);
    return crc.masked() == checksum;
  }

  /// Whether it is of a beginning of `bytes`: then that is all of it, and its length is wrong.
  bool is_of_beginning(ByteView bytes) const {
    Crc crc(type);
    return crc.masked() == checksum || std::ranges::any_of(bytes, [&](std::uint8_t byte) {
             crc.add(byte);
             return crc.masked() == checksum;
           });
  }
};

enum class LogState { whole, torn, damaged };

/// Looks at one record after the other.
class LogInspector {
 public:
  /// What the bytes of a block are; torn only where the file ends.
  LogState inspect(ByteView rest, bool file_ends) {
    while (rest.size() >= record_head_bytes) {
      const auto record = Record::read(rest);
      rest = rest.subspan(record_head_bytes);
      if (!follows(record.type)) return LogState::damaged;
      if (record.length > rest.size()) {
        const bool is_cut = file_ends && !record.is_of_beginning(rest);
        return is_cut ? LogState::torn : LogState::damaged;
      }
      if (!record.is_of(rest.first(record.length))) return LogState::damaged;
      within_ = record.type == first_part || record.type == middle_part;
      rest = rest.subspan(record.length);
    }
    return file_ends && (within_ || !rest.empty()) ? LogState::torn : LogState::whole;
  }

 private:
  bool follows(std::uint8_t type) const {
    return within_ ? type == middle_part || type == last_part
                   : type == whole_record || type == first_part;
  }

  bool within_ = false;  ///< a record of several parts
};

LogState state_of(const fs::path& path) {
  const auto log = File::open_for_reading(path);
  LogInspector inspector;
  Bytes block(log_block_bytes);
  for (std::uint64_t at = 0; log; at += log_block_bytes) {
    const auto got = log->read_at(at, block);
    if (!got) break;
    const bool file_ends = *got < log_block_bytes;
    const auto state = inspector.inspect(ByteView(block).first(*got), file_ends);
    if (file_ends || state != LogState::whole) return state;
  }
  return LogState::damaged;
}

}  // namespace

bool is_last_record_torn(const fs::path& database) {
  std::vector<fs::path> logs;
  std::error_code error;
  for (auto it = fs::directory_iterator(database, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    if (it->path().extension() == ".log") logs.push_back(it->path());
  }
  if (error || logs.empty()) return false;
  // Their names are numbers, of six digits at least.
  std::ranges::sort(logs, {}, [](const fs::path& log) {
    const auto name = log.filename().string();
    return std::pair(name.size(), name);
  });
  const auto last = logs.back();
  logs.pop_back();
  return std::ranges::all_of(logs, [](auto& log) { return state_of(log) == LogState::whole; }) &&
         state_of(last) == LogState::torn;
}

}  // namespace zerodb
