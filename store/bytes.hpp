#pragma once
// Byte strings (zerodb/bytes.hpp, which is installed) and their text forms. Thread-safe: plain
// values and pure functions.

#include <endian.h>

#include <cassert>
#include <cstring>
#include <string>
#include <string_view>

#include "store/result.hpp"
#include "zerodb/bytes.hpp"

namespace zerodb {

/// Lower-case hexadecimal.
std::string to_hex(ByteView bytes);

/// Accepts either case; `invalid` on any other character or an odd length.
Result<Bytes> from_hex(std::string_view text);

/// URL-safe base64 without padding (RFC 4648, section 5).
std::string to_base64url(ByteView bytes);
Result<Bytes> from_base64url(std::string_view text);

// Big-endian integers, the byte order of every zerodb format and of RocksDB keys. A span has room
// for the whole of one.

namespace big_endian {

template <class Unsigned>
void put(MutableBytes to, Unsigned in_order) {
  assert(to.size() >= sizeof in_order);
  std::memcpy(to.data(), &in_order, sizeof in_order);
}

template <class Unsigned>
Unsigned get(ByteView from) {
  assert(from.size() >= sizeof(Unsigned));
  Unsigned in_order;
  std::memcpy(&in_order, from.data(), sizeof in_order);
  return in_order;
}

}  // namespace big_endian

inline void put_u16(MutableBytes to, std::uint16_t value) {
  big_endian::put(to, htobe16(value));
}
inline void put_u32(MutableBytes to, std::uint32_t value) {
  big_endian::put(to, htobe32(value));
}
inline void put_u64(MutableBytes to, std::uint64_t value) {
  big_endian::put(to, htobe64(value));
}
inline std::uint16_t get_u16(ByteView from) {
  return be16toh(big_endian::get<std::uint16_t>(from));
}
inline std::uint32_t get_u32(ByteView from) {
  return be32toh(big_endian::get<std::uint32_t>(from));
}
inline std::uint64_t get_u64(ByteView from) {
  return be64toh(big_endian::get<std::uint64_t>(from));
}

/// True if `text` is well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

/// `text` with a question mark for each control character, and for what is no UTF-8.
std::string without_controls(std::string_view text);

/// `text` with control characters, quotes and backslashes escaped, for messages and logs.
std::string printable(std::string_view text);

}  // namespace zerodb
