#pragma once
// Contents for the library's tests.

#include <string>

#include "zerodb/bytes.hpp"

namespace zerodb::test {

inline Bytes content_of(std::size_t size) {
  Bytes content(size);
  for (std::size_t i = 0; i < size; ++i) {
    content[i] = static_cast<std::uint8_t>(i * 31 + i / 256 + i / 65536);
  }
  return content;
}

inline std::string text_of(ByteView content) {
  return std::string(as_text(content));
}

}  // namespace zerodb::test
