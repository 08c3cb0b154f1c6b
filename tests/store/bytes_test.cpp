#include "store/bytes.hpp"

#include <array>
#include <catch2/catch.hpp>

using namespace zerodb;

TEST_CASE("bytes: hexadecimal round-trips and accepts either case", "[store]") {
  const Bytes bytes{0x00, 0x1F, 0xAB, 0xFF};
  CHECK(to_hex(bytes) == "001fabff");
  CHECK(*from_hex("001FaBff") == bytes);
  CHECK(to_hex({}).empty());
  CHECK(from_hex("")->empty());
}

TEST_CASE("bytes: what is not hexadecimal is refused", "[store]") {
  for (const auto* text : {"0", "0g", "00 ", " 00", "0x00", "00:11"}) {
    CAPTURE(text);
    const auto bytes = from_hex(text);
    REQUIRE_FALSE(bytes);
    CHECK(bytes.error().code == Errc::invalid);
  }
}

TEST_CASE("bytes: URL-safe base64 round-trips at every length modulo three", "[store]") {
  CHECK(to_base64url(Bytes{0xFB, 0xFF, 0xFE}) == "-__-");
  Bytes bytes;
  for (std::uint8_t i = 0; i < 40; ++i) {
    CHECK(*from_base64url(to_base64url(bytes)) == bytes);
    bytes.push_back(static_cast<std::uint8_t>(i * 37));
  }
}

TEST_CASE("bytes: base64 with padding, other letters or stray bits is refused", "[store]") {
  for (const auto* text : {"-__-=", "AA==", "AAA=", "+//+", "A", "AB", "AA\n", "A A"}) {
    CAPTURE(text);
    CHECK_FALSE(from_base64url(text));
  }
}

TEST_CASE("bytes: integers are big-endian", "[store]") {
  std::array<std::uint8_t, 8> eight{};
  put_u64(eight, 0x0102030405060708);
  CHECK(to_hex(eight) == "0102030405060708");
  CHECK(get_u64(eight) == 0x0102030405060708);
  CHECK(get_u32(eight) == 0x01020304);
  CHECK(get_u16(eight) == 0x0102);
  put_u16(eight, 0xFEDC);
  put_u32(std::span(eight).subspan(4), 0xFFFFFFFF);
  CHECK(to_hex(eight) == "fedc0304ffffffff");
}

TEST_CASE("bytes: well-formed UTF-8 is told from the rest", "[store]") {
  for (const auto* good : {"", "plain", "\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF", "gr\xC3\xBC\xC3\x9F"}) {
    CAPTURE(good);
    CHECK(is_utf8(good));
  }
  for (const auto* bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xC3", "\xC3(", "\xE0\x9F\xBF", "\xE2\x82",
        "\xED\xA0\x80", "\xED\xBF\xBF", "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80",
        "\xF0\x9F\x98", "\xFF", "a\xFE"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_utf8(bad));
  }
  CHECK(is_utf8(std::string_view("\0", 1)));
}

TEST_CASE("bytes: printable text cannot steer a terminal", "[store]") {
  CHECK(printable("two words") == "two words");
  CHECK(printable("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80") == "gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80");
  CHECK(printable("a\nb\rc\td") == "a\\nb\\rc\\td");
  CHECK(printable("\x1B[31m") == "\\x1b[31m");
  CHECK(printable(std::string_view("\0\x7F", 2)) == "\\x00\\x7f");
  CHECK(printable("\xC2\x9B") == "\\xc2\\x9b");           // a C1 control: CSI
  CHECK(printable("\xE2\x80\xAE") == "\\xe2\\x80\\xae");  // right-to-left override
  CHECK(printable("\xFFz\xC3") == "\\xffz\\xc3");
  CHECK(printable("'\"\\") == "\\'\\\"\\\\");
}

TEST_CASE("bytes: text without controls is else as it was", "[store]") {
  CHECK(without_controls("'gr\xC3\xBC\xC3\x9F'\\") == "'gr\xC3\xBC\xC3\x9F'\\");
  CHECK(without_controls("\x1B[31m\nb\xC2\x9B\xE2\x80\xAE\xFF") == "?[31m?b???");
}
