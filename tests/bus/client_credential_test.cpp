#include "bus/client_credential.hpp"

#include <catch2/catch.hpp>

#include "bus/check_characters.hpp"

using namespace zerodb;
using Catch::Contains;

namespace {

ClientCredential some_credential(const std::string& name = "camera") {
  return {.name = name,
          .endpoint = "tcp://node1.example:7720",
          .server = random_id<NodeId>(),
          .keys = CurvePair::generate()};
}

std::string complaint(std::string_view text) {
  const auto parsed = parse_credential(text);
  REQUIRE_FALSE(parsed);
  CHECK(parsed.error().code == Errc::invalid);
  return parsed.error().what;
}

}  // namespace

TEST_CASE("credential: all of it is read back, white space or not", "[bus]") {
  for (const std::size_t length : {1U, 2U, 3U, 20U, 64U}) {
    const auto given = some_credential(std::string(length, 'n'));
    const auto text = credential_text(given);
    CHECK(text.starts_with("zdbclient1-"));
    for (const auto& said : {text, "  " + text.substr(0, 40) + "\r\n\t" + text.substr(40) + "\n"}) {
      const auto read = parse_credential(said);
      REQUIRE(read);
      CHECK(read->name == given.name);
      CHECK(read->endpoint == given.endpoint);
      CHECK(read->server == given.server);
      CHECK(read->keys.public_key == given.keys.public_key);
      CHECK(to_bytes(read->keys.secret.view()) == to_bytes(given.keys.secret.view()));
    }
  }
}

TEST_CASE("credential: a character that was mistyped is named, wherever it is", "[bus]") {
  const auto text = credential_text(some_credential());
  for (std::size_t place = 0; place < text.size(); ++place) {
    for (const char wrong : {'A', 'q', '7', '_', '.'}) {
      if (text[place] == wrong) continue;
      auto altered = text;
      altered[place] = wrong;
      INFO(place << " " << wrong);
      const auto what = complaint(altered);
      CHECK_THAT(what, Contains("character " + std::to_string(place + 1)));
      // A dot where there is none is not base64: what it stood for is not guessed.
      const bool guessed = wrong != '.' || place < credential_prefix.size();
      if (guessed) CHECK_THAT(what, Contains("should be '" + std::string(1, text[place]) + "'"));
    }
  }
}

TEST_CASE("credential: what is cut, lengthened or altered more than once is refused", "[bus]") {
  const auto text = credential_text(some_credential());
  for (std::size_t length = 0; length < text.size(); ++length)
    complaint(text.substr(0, length));
  complaint(text + "A");
  complaint(text + text);
  complaint(std::string(100'000, 'A'));
  auto twice = text;
  twice[20] = twice[20] == 'x' ? 'y' : 'x';
  twice[30] = twice[30] == 'x' ? 'y' : 'x';
  CHECK_THAT(complaint(twice), Contains("more than one place"));
  auto swapped = text;
  std::swap(swapped[60], swapped[140]);
  if (swapped != text) CHECK_THAT(complaint(swapped), Contains("altered"));
  CHECK_THAT(complaint("zdb1abc"), Contains("not a client's credential"));
  CHECK_THAT(complaint(""), Contains("printed by zdb client add"));
}

TEST_CASE("check characters: every slip is found, in texts of every length", "[bus]") {
  for (const std::size_t size : {1U, 2U, 60U, 61U, 62U, 121U, 122U, 123U, 200U}) {
    std::string text;
    for (std::size_t i = 0; i < size; ++i)
      text += "AbC9-_zQ"[i * i % 8];
    const auto checked = text + check_characters(text);
    CHECK(checked.size() == size + check_characters_of(size));
    CHECK_FALSE(find_slip(checked));
    for (std::size_t place = 0; place < checked.size(); ++place) {
      auto altered = checked;
      altered[place] = altered[place] == 'k' ? 'l' : 'k';
      const auto slip = find_slip(altered);
      INFO(size << " " << place);
      REQUIRE(slip);
      CHECK(slip->place == place);
      CHECK(slip->meant == checked[place]);
    }
  }
}
