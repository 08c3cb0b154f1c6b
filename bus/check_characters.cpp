#include "bus/check_characters.hpp"

#include <array>
#include <cstdint>

namespace zerodb {
namespace {

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
static_assert(alphabet.size() == 64);

constexpr std::size_t block_symbols = 61;  ///< with two check symbols as long as a codeword may be

/// Powers of 2 in GF(64) = GF(2)[x] / (x^6 + x + 1), and their inverse function.
struct Powers {
  std::array<std::uint8_t, 63> power{};
  std::array<std::uint8_t, 64> log{};  ///< log[0] is not used

  constexpr Powers() {
    unsigned value = 1;
    for (std::uint8_t i = 0; i < 63; ++i) {
      power[i] = static_cast<std::uint8_t>(value);
      log[value] = i;
      value <<= 1;
      if (value > 63) value ^= 0b1000011;
    }
  }
  constexpr std::uint8_t twice(std::uint8_t a) const {
    return a == 0 ? std::uint8_t{0} : power[(log[a] + 1U) % 63U];
  }
  constexpr std::uint8_t over(std::uint8_t a, std::uint8_t b) const {
    return a == 0 ? std::uint8_t{0} : power[(log[a] + 63U - log[b]) % 63U];
  }
};
constexpr Powers powers;

/// A block is the polynomial whose leading coefficient is its first symbol. It is a codeword if its
/// values at 1 and at 2 are zero.
struct Values {
  std::uint8_t at_1 = 0;
  std::uint8_t at_2 = 0;

  void add(char character) {
    const auto symbol = static_cast<std::uint8_t>(alphabet.find(character));
    at_1 ^= symbol;
    at_2 = static_cast<std::uint8_t>(powers.twice(at_2) ^ symbol);
  }
  void add(std::string_view characters) {
    for (const char character : characters)
      add(character);
  }
};

std::size_t blocks_of(std::size_t text_size) {
  return (text_size + block_symbols - 1) / block_symbols;
}

}  // namespace

bool is_base64url(char character) {
  return alphabet.find(character) != std::string_view::npos;
}

std::size_t check_characters_of(std::size_t text_size) {
  return 2 * blocks_of(text_size);
}

std::string check_characters(std::string_view text) {
  std::string checks;
  for (std::size_t at = 0; at < text.size(); at += block_symbols) {
    Values values;
    values.add(text.substr(at, block_symbols));
    values.add("AA");  // zeros, in place of the check symbols c and d
    // c + d = at_1 and 2c + d = at_2, in which 2 + 1 = 3.
    const auto sum = static_cast<std::uint8_t>(values.at_1 ^ values.at_2);
    const auto c = powers.over(sum, 3);
    checks += alphabet[c];
    checks += alphabet[values.at_1 ^ c];
  }
  return checks;
}

std::optional<Slip> find_slip(std::string_view checked) {
  // Of n text characters there are n + 2 * ceil(n / 61) in all.
  const auto blocks = (checked.size() + block_symbols + 1) / (block_symbols + 2);
  const auto text = checked.substr(0, checked.size() - std::min(checked.size(), 2 * blocks));
  const auto checks = checked.substr(text.size());
  std::optional<Slip> found;
  for (std::size_t block = 0; block < blocks; ++block) {
    const auto symbols = text.substr(std::min(text.size(), block * block_symbols), block_symbols);
    Values values;
    values.add(symbols);
    values.add(checks.substr(2 * block, 2));
    if (values.at_1 == 0 && values.at_2 == 0) continue;
    if (found || values.at_1 == 0 || values.at_2 == 0) return {};
    const std::size_t from_end = powers.log[powers.over(values.at_2, values.at_1)];
    if (from_end >= symbols.size() + 2) return {};
    const auto in_block = symbols.size() + 1 - from_end;
    const auto place = in_block < symbols.size()
                           ? block * block_symbols + in_block
                           : text.size() + 2 * block + (in_block - symbols.size());
    found = Slip{place, alphabet[alphabet.find(checked[place]) ^ values.at_1]};
  }
  return found;
}

}  // namespace zerodb
