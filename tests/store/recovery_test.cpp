#include "store/recovery.hpp"

#include <catch2/catch.hpp>

using namespace zerodb;

namespace {

constexpr std::string_view letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// The places of the symbols in the text, in order.
std::vector<std::size_t> places_of(std::string_view text) {
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (letters.find(text[i]) != std::string_view::npos) places.push_back(i);
  }
  return places;
}

std::string place_name(std::size_t symbol) {
  return "row " + std::to_string(symbol / 30 + 1) + ", group " +
         std::to_string(symbol % 30 / 5 + 1) + ", character " + std::to_string(symbol % 5 + 1);
}

std::string refusal(std::string_view text) {
  const auto seed = seed_from_recovery_text(text);
  REQUIRE_FALSE(seed);
  CHECK(seed.error().code == Errc::invalid);
  return seed.error().what;
}

bool mentions(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

/// Another letter than the one that stands there.
char other_than(char letter, std::size_t step = 1) {
  return letters[(letters.find(letter) + step) % letters.size()];
}

}  // namespace

TEST_CASE("recovery: the text is two rows of six groups of five", "[store]") {
  const auto text = recovery_text(Seed::random());
  CHECK(text.size() == 71);
  CHECK(text[35] == '\n');
  for (std::size_t i = 5; i < 71; i += 6)
    CHECK((i == 35 || text[i] == ' '));
  CHECK(places_of(text).size() == 60);
}

TEST_CASE("recovery: a text gives back its seed, however it is spaced and cased", "[store]") {
  for (int round = 0; round < 20; ++round) {
    const auto seed = Seed::random();
    const auto text = recovery_text(seed);
    std::string lower;
    std::string dashed = "  ";
    for (const char c : text) {
      lower += static_cast<char>(std::tolower(c));
      dashed += c == ' ' ? "-" : c == '\n' ? "\r\n\r\n" : std::string(1, c);
    }
    std::string bare;
    for (const auto place : places_of(text))
      bare += text[place];
    for (const auto& typed : {text, lower, dashed + "\n", bare}) {
      CAPTURE(typed);
      const auto read = seed_from_recovery_text(typed);
      REQUIRE(read);
      CHECK(std::ranges::equal(read->view(), seed.view()));
    }
  }
}

TEST_CASE("recovery: O, I and L are read as the digits they look like", "[store]") {
  // This seed's text has both zeros and ones.
  Seed seed;
  std::fill_n(seed.mutable_view().begin() + 8, 8, std::uint8_t{0x08});
  auto text = recovery_text(seed);
  REQUIRE(std::ranges::count(text, '1') >= 2);
  *std::ranges::find(text, '1') = 'I';
  *std::ranges::find(text, '1') = 'l';
  *std::ranges::find(text, '0') = 'O';
  *std::ranges::find(text, '0') = 'o';
  const auto read = seed_from_recovery_text(text);
  REQUIRE(read);
  CHECK(std::ranges::equal(read->view(), seed.view()));
}

TEST_CASE("recovery: any one mistyped character is refused and named, with what it should be",
          "[store]") {
  const auto text = recovery_text(Seed::random());
  CAPTURE(text);
  const auto places = places_of(text);
  for (std::size_t symbol = 0; symbol < places.size(); ++symbol) {
    for (const char wrong : letters) {
      auto typed = text;
      const char right = std::exchange(typed[places[symbol]], wrong);
      if (right == wrong) continue;
      const auto expected = "recovery text: " + place_name(symbol) + " is '" + wrong +
                            "' and probably should be '" + right + "'" +
                            ": compare it with the original";
      REQUIRE(refusal(typed) == expected);
    }
  }
}

TEST_CASE("recovery: one slip in each row names both", "[store]") {
  auto text = recovery_text(Seed::random());
  CAPTURE(text);
  const auto places = places_of(text);
  text[places[7]] = other_than(text[places[7]]);
  text[places[59]] = other_than(text[places[59]], 9);
  const auto what = refusal(text);
  CHECK(mentions(what, "row 1, group 2, character 3"));
  CHECK(mentions(what, "row 2, group 6, character 5"));
}

TEST_CASE("recovery: more slips than can be located are refused without a guess", "[store]") {
  const auto text = recovery_text(Seed::random());
  CAPTURE(text);
  const auto places = places_of(text);
  for (std::size_t i = 0; i < 30; ++i) {
    for (std::size_t j = i + 1; j < 30; ++j) {
      auto typed = text;
      typed[places[i]] = other_than(typed[places[i]], i + 1);
      typed[places[j]] = other_than(typed[places[j]], j + 1);
      REQUIRE(mentions(refusal(typed), "two or more characters are wrong or swapped in row 1"));
    }
  }
}

TEST_CASE("recovery: neighbours that changed places are refused", "[store]") {
  const auto text = recovery_text(Seed::random());
  CAPTURE(text);
  const auto places = places_of(text);
  for (std::size_t i = 0; i + 1 < places.size(); ++i) {
    auto typed = text;
    std::swap(typed[places[i]], typed[places[i + 1]]);
    // Across the rows' border it is one slip in each row.
    const auto* expected = i == 29 ? "probably should be" : "wrong or swapped";
    if (typed != text) REQUIRE(mentions(refusal(typed), expected));
  }
}

TEST_CASE("recovery: rows of two texts, or in the wrong order, are refused", "[store]") {
  const auto one = recovery_text(Seed::random());
  const auto two = recovery_text(Seed::random());
  CHECK(mentions(refusal(one.substr(0, 36) + two.substr(36)), "the text"));
  CHECK(mentions(refusal(one.substr(36) + "\n" + one.substr(0, 35)), "the text"));
}

TEST_CASE("recovery: a missing or an extra character is named by its group", "[store]") {
  const auto text = recovery_text(Seed::random());
  CAPTURE(text);
  const auto places = places_of(text);
  for (std::size_t symbol = 0; symbol < places.size(); ++symbol) {
    const auto group = place_name(symbol).substr(0, std::string_view("row 1, group 1").size());
    auto typed = text;
    typed.erase(places[symbol], 1);
    auto what = refusal(typed);
    REQUIRE(mentions(what, "expected 60 letters and digits, got 59"));
    REQUIRE(mentions(what, group + " has 4 characters"));
    typed = text;
    typed.insert(places[symbol], 1, 'X');
    what = refusal(typed);
    REQUIRE(mentions(what, "got 61"));
    REQUIRE(mentions(what, group + " has 6 characters"));
  }
}

TEST_CASE("recovery: texts of another length are refused", "[store]") {
  const auto text = recovery_text(Seed::random());
  for (std::size_t size = 0; size < text.size(); ++size) {
    REQUIRE(mentions(refusal(std::string_view(text).substr(0, size)), "expected 60"));
  }
  CHECK(mentions(refusal(text + "\n" + text), "got 120"));
  CHECK(mentions(refusal(std::string(1'000'000, 'A')), "got 1000000"));
}

TEST_CASE("recovery: a character that no text contains is named", "[store]") {
  const auto text = recovery_text(Seed::random());
  const auto places = places_of(text);
  const auto with = [&](std::size_t symbol, std::string_view wrong) {
    auto typed = text;
    typed.replace(places[symbol], 1, wrong);
    return refusal(typed);
  };
  CHECK(mentions(with(31, "u"), "row 2, group 1, character 2 is 'u', which no"));
  CHECK(mentions(with(0, "\xC3\xA4"), "row 1, group 1, character 1 is '\xC3\xA4'"));
  CHECK(mentions(with(29, "\x1B"), "row 1, group 6, character 5 is '\\x1b'"));
  CHECK(mentions(with(5, "\xFF"), "row 1, group 2, character 1 is '\\xff'"));
}

TEST_CASE("recovery text: an owner's is not taken for a mesh's, nor the other way round",
          "[store]") {
  const auto seed = Seed::random();
  const auto owners = recovery_text(seed);
  const auto meshs = recovery_text(seed, RecoveryKind::mesh);
  CHECK(owners != meshs);
  CHECK(seed_from_recovery_text(meshs, RecoveryKind::mesh)->view()[0] == seed.view()[0]);
  const auto as_owner = seed_from_recovery_text(meshs);
  REQUIRE_FALSE(as_owner);
  CHECK(as_owner.error().what.find("a mesh key's") != std::string::npos);
  const auto as_mesh = seed_from_recovery_text(owners, RecoveryKind::mesh);
  REQUIRE_FALSE(as_mesh);
  CHECK(as_mesh.error().what.find("an owner's") != std::string::npos);
}
