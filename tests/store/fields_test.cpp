#include "store/fields.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;

namespace {

struct Inner {
  std::uint32_t number = 0;
  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("number", self.number);
  }
};

struct Outer {
  bool flag = false;
  std::uint8_t small = 0;
  std::uint64_t large = 0;
  std::int64_t sign = 0;
  std::string text;
  Bytes bytes;
  BlobId id;
  Inner inner;
  std::vector<Inner> list;
  std::map<std::string, std::string> pairs;
  std::optional<std::string> maybe;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("flag", self.flag);
    field("small", self.small);
    field("large", self.large);
    field("sign", self.sign);
    field("text", self.text);
    field("bytes", self.bytes);
    field("id", self.id);
    field("inner", self.inner);
    field("list", self.list);
    field("pairs", self.pairs);
    field("maybe", self.maybe);
  }
};

Outer all_kinds() {
  return {.flag = true,
          .small = 255,
          .large = ~0ULL,
          .sign = -1,
          .text = "text",
          .bytes = {1, 2, 3},
          .id = *BlobId::from(Bytes(16, 9)),
          .inner = {7},
          .list = {{1}, {2}},
          .pairs = {{"a", "b"}},
          .maybe = "here"};
}

Bytes hex(std::string_view text) {
  return *from_hex(text);
}

}  // namespace

TEST_CASE("fields: every type survives", "[store]") {
  const auto read = fields::decode<Outer>(fields::encode(all_kinds()));
  REQUIRE(read);
  CHECK(read->flag);
  CHECK(read->small == 255);
  CHECK(read->large == ~0ULL);
  CHECK(read->sign == -1);
  CHECK(read->text == "text");
  CHECK(read->bytes == Bytes{1, 2, 3});
  CHECK(read->id == all_kinds().id);
  CHECK(read->inner.number == 7);
  REQUIRE(read->list.size() == 2);
  CHECK(read->list[1].number == 2);
  CHECK(read->pairs == all_kinds().pairs);
  CHECK(read->maybe == "here");
}

TEST_CASE("fields: an absent optional is neither written nor missed", "[store]") {
  auto value = all_kinds();
  value.maybe.reset();
  const auto bytes = fields::encode(value);
  CHECK(as_text(bytes).find("maybe") == std::string_view::npos);
  CHECK_FALSE(fields::decode<Outer>(bytes)->maybe);
}

TEST_CASE("fields: an unknown field is ignored, a missing one is named", "[store]") {
  // {"number": 5, "later": [true]}
  CHECK(fields::decode<Inner>(hex("82a66e756d62657205a56c6174657291c3"))->number == 5);
  const auto missing = fields::decode<Inner>(hex("80"));
  REQUIRE_FALSE(missing);
  CHECK(missing.error().code == Errc::invalid);
  CHECK(missing.error().what == "field 'number' is missing");
}

TEST_CASE("fields: wrong types and numbers out of range name the field", "[store]") {
  // "number" as a string, -1, 2^32, nil, 1.0
  for (const auto* value : {"a178", "ff", "cf0000000100000000", "c0", "cb3ff0000000000000"}) {
    CAPTURE(value);
    const auto read = fields::decode<Inner>(hex("81a66e756d626572" + std::string(value)));
    REQUIRE_FALSE(read);
    CHECK(read.error().what == "field 'number' has the wrong type or range");
  }
}

TEST_CASE("fields: anything but one whole map is refused", "[store]") {
  for (const auto* bytes :
       {"", "90", "c0", "05", "a0", "8000", "81", "81a66e756d626572", "c1", "81a66e756d6265720500",
        "dd7fffffff", "df7fffffff", "c67fffffff", "db7fffffff", "dc", "c7ff00"}) {
    CAPTURE(bytes);
    const auto read = fields::decode<Inner>(hex(bytes));
    REQUIRE_FALSE(read);
    CHECK(read.error().code == Errc::invalid);
  }
}

TEST_CASE("fields: every truncation is refused", "[store]") {
  const auto bytes = fields::encode(all_kinds());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    REQUIRE_FALSE(fields::decode<Outer>(ByteView(bytes).first(size)));
  }
}

TEST_CASE("fields: limits on size and depth hold", "[store]") {
  const auto bytes = fields::encode(all_kinds());
  CHECK(fields::decode<Outer>(bytes, {.bytes = bytes.size()}));
  CHECK_FALSE(fields::decode<Outer>(bytes, {.bytes = bytes.size() - 1}));
  CHECK_FALSE(fields::decode<Outer>(bytes, {.string = 5}));
  CHECK_FALSE(fields::decode<Outer>(bytes, {.binary = 15}));
  CHECK_FALSE(fields::decode<Outer>(bytes, {.array = 1}));
  CHECK_FALSE(fields::decode<Outer>(bytes, {.map = 10}));
  CHECK_FALSE(fields::decode<Outer>(bytes, {.depth = 1}));
  CHECK_FALSE(fields::decode<Inner>(Bytes(1000, 0x91)));

  auto nested = Bytes(8, 0x91);
  nested.push_back(0x05);
  CHECK(fields::parse(nested, {}));
  nested.insert(nested.begin(), 0x91);
  CHECK_FALSE(fields::parse(nested, {}));
}

TEST_CASE("fields: what holds too many items is refused before it is read", "[store]") {
  const auto bytes = fields::encode(all_kinds());
  CHECK(fields::decode<Outer>(bytes, {.items = 32}));
  const auto refused = fields::decode<Outer>(bytes, {.items = 31});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().what == "msgpack: more than 31 items");

  // {"number": 5, "a": [1, …], "b": [1, …], "c": [1, …]}, each as long as an array may be.
  auto padded = hex("84a66e756d62657205");
  for (const char name : {'a', 'b', 'c'}) {
    for (const int byte : {0xa1, int{name}, 0xdd, 0, 0, 0xff, 0xff})
      padded.push_back(static_cast<std::uint8_t>(byte));
    padded.resize(padded.size() + 0xffff, 1);
  }
  CHECK(fields::decode<Inner>(padded)->number == 5);
  CHECK_FALSE(fields::decode<Inner>(padded, {.items = 1 << 17}));
}
