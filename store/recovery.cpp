#include "store/recovery.hpp"

#include <array>
#include <cassert>
#include <optional>
#include <vector>

namespace zerodb {
namespace {

constexpr std::string_view alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";  // no I, L, O, U
static_assert(alphabet.size() == 32);

constexpr std::size_t row_count = 2;
constexpr std::size_t row_symbols = 30;
constexpr std::size_t row_data_symbols = 28;
constexpr std::size_t group_symbols = 5;
constexpr std::size_t recovery_checksum_bytes = 3;
constexpr std::size_t payload_bytes = Seed::size + recovery_checksum_bytes;
static_assert(payload_bytes * 8 == row_count * row_data_symbols * 5);

using Row = std::array<std::uint8_t, row_symbols>;  ///< values of 0 to 31
using Rows = std::array<Row, row_count>;
using Payload35 = std::array<std::uint8_t, payload_bytes>;

// ------------------------------------------------------------------------------------ GF(32)

/// Powers of 2 in GF(32) = GF(2)[x] / (x^5 + x^2 + 1), and their inverse function.
struct Field {
  std::array<std::uint8_t, 31> power{};
  std::array<std::uint8_t, 32> log{};  ///< log[0] is not used

  constexpr Field() {
    unsigned value = 1;
    for (std::uint8_t i = 0; i < 31; ++i) {
      power[i] = static_cast<std::uint8_t>(value);
      log[value] = i;
      value <<= 1;
      if (value > 31) value ^= 0b100101;
    }
  }

  constexpr std::uint8_t times(std::uint8_t a, std::uint8_t b) const {
    return a == 0 || b == 0 ? std::uint8_t{0} : power[(log[a] + log[b]) % 31U];
  }
  constexpr std::uint8_t over(std::uint8_t a, std::uint8_t b) const {
    return a == 0 ? std::uint8_t{0} : power[(log[a] + 31U - log[b]) % 31U];
  }
};
constexpr Field field;

/// A row is the polynomial whose leading coefficient is its first symbol. It is a codeword if both
/// the values at 1 and at 2 are zero.
struct Syndromes {
  std::uint8_t at_1 = 0;
  std::uint8_t at_2 = 0;
  bool none() const { return at_1 == 0 && at_2 == 0; }
};

Syndromes syndromes_of(const Row& row) {
  Syndromes found;
  for (const auto symbol : row) {
    found.at_1 ^= symbol;
    found.at_2 = static_cast<std::uint8_t>(field.times(found.at_2, 2) ^ symbol);
  }
  return found;
}

/// Sets the two check symbols, c and d, with c + d = at_1 and 2c + d = at_2 of the data.
void add_check_symbols(Row& row) {
  row[row_data_symbols] = 0;
  row[row_data_symbols + 1] = 0;
  const auto data = syndromes_of(row);
  const auto c = field.over(static_cast<std::uint8_t>(data.at_1 ^ data.at_2), 3);
  row[row_data_symbols] = c;
  row[row_data_symbols + 1] = static_cast<std::uint8_t>(data.at_1 ^ c);
}

/// Where a row differs in one symbol from a codeword; nothing if no single change makes it one.
struct Slip {
  std::size_t place = 0;
  std::uint8_t meant = 0;
};

std::optional<Slip> single_slip(const Row& row) {
  const auto found = syndromes_of(row);
  if (found.at_1 == 0 || found.at_2 == 0) return std::nullopt;
  const std::size_t exponent = field.log[field.over(found.at_2, found.at_1)];
  if (exponent >= row_symbols) return std::nullopt;
  const auto place = row_symbols - 1 - exponent;
  return Slip{.place = place, .meant = static_cast<std::uint8_t>(row[place] ^ found.at_1)};
}

// ----------------------------------------------------------------------------------- payload

void add_checksum(Payload35& payload, RecoveryKind kind) {
  const auto* domain = kind == RecoveryKind::owner ? "zerodb recovery" : "zerodb mesh key";
  const auto hash = blake2b_256(domain, {ByteView(payload).first(Seed::size)});
  std::copy_n(hash.begin(), recovery_checksum_bytes, payload.begin() + Seed::size);
}

bool checksum_holds(const Payload35& payload, RecoveryKind kind) {
  auto expected = payload;
  add_checksum(expected, kind);
  const bool holds = expected == payload;
  wipe(expected);
  return holds;
}

/// Five bits a symbol, most significant first, row after row.
Rows rows_of(const Payload35& payload) {
  Rows rows{};
  for (std::size_t bit = 0; bit < payload_bytes * 8; ++bit) {
    const auto symbol = bit / 5;
    auto& to = rows[symbol / row_data_symbols][symbol % row_data_symbols];
    to = static_cast<std::uint8_t>(to << 1 | (payload[bit / 8] >> (7 - bit % 8) & 1));
  }
  for (auto& row : rows)
    add_check_symbols(row);
  return rows;
}

Payload35 payload_of(const Rows& rows) {
  Payload35 payload{};
  for (std::size_t bit = 0; bit < payload_bytes * 8; ++bit) {
    const auto symbol = rows[bit / 5 / row_data_symbols][bit / 5 % row_data_symbols];
    auto& to = payload[bit / 8];
    to = static_cast<std::uint8_t>(to << 1 | (symbol >> (4 - bit % 5) & 1));
  }
  return payload;
}

// -------------------------------------------------------------------------------------- text

constexpr std::string_view advice = ": compare it with the original";

std::string place_of(std::size_t row, std::size_t place) {
  return "row " + std::to_string(row + 1) + ", group " + std::to_string(place / group_symbols + 1) +
         ", character " + std::to_string(place % group_symbols + 1);
}

bool is_separator(char c) {
  return std::string_view(" \t\r\n\v\f-").find(c) != std::string::npos;
}

/// The symbol a character stands for; letters easily read as digits are those digits.
std::optional<std::uint8_t> symbol_of(char c) {
  if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  if (c == 'O') c = '0';
  if (c == 'I' || c == 'L') c = '1';
  const auto found = alphabet.find(c);
  if (found == std::string_view::npos) return std::nullopt;
  return static_cast<std::uint8_t>(found);
}

/// The whole UTF-8 character that starts the text, or one byte.
std::string_view first_character(std::string_view text) {
  for (std::size_t length = 1; length <= std::min<std::size_t>(text.size(), 4); ++length) {
    if (is_utf8(text.substr(0, length))) return text.substr(0, length);
  }
  return text.substr(0, 1);
}

/// A group between separators that is not five characters long, if the text has groups at all.
std::string uneven_group(std::string_view text) {
  std::vector<std::size_t> sizes;
  bool inside = false;
  for (const char c : text) {
    if (is_separator(c)) {
      inside = false;
    } else {
      if (!inside) sizes.push_back(0);
      ++sizes.back();
      inside = true;
    }
  }
  constexpr auto row_groups = row_symbols / group_symbols;
  if (sizes.size() != row_groups * row_count) return {};
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] == group_symbols) continue;
    return "; row " + std::to_string(i / row_groups + 1) + ", group " +
           std::to_string(i % row_groups + 1) + " has " + std::to_string(sizes[i]) +
           " characters instead of " + std::to_string(group_symbols);
  }
  return {};
}

Result<Rows> rows_from(std::string_view text) {
  Rows rows{};
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (is_separator(text[i])) continue;
    const auto symbol = symbol_of(text[i]);
    if (!symbol) {
      return fail(Errc::invalid,
                  "recovery text: " + place_of(count / row_symbols, count % row_symbols) + " is '" +
                      printable(first_character(text.substr(i))) +
                      "', which no recovery text contains" + std::string(advice));
    }
    if (count < row_count * row_symbols) rows[count / row_symbols][count % row_symbols] = *symbol;
    ++count;
  }
  if (count != row_count * row_symbols) {
    wipe(rows[0]);
    wipe(rows[1]);
    return fail(Errc::invalid, "recovery text: expected " +
                                   std::to_string(row_count * row_symbols) +
                                   " letters and digits, got " + std::to_string(count) +
                                   uneven_group(text) + std::string(advice));
  }
  return rows;
}

std::string describe(std::size_t row, const Row& typed, const Slip& slip) {
  return place_of(row, slip.place) + " is '" + alphabet[typed[slip.place]] +
         "' and probably should be '" + alphabet[slip.meant] + "'";
}

RecoveryKind other_than(RecoveryKind kind) {
  return kind == RecoveryKind::owner ? RecoveryKind::mesh : RecoveryKind::owner;
}

/// What is wrong, for people. A single slip a row is located; the checksum confirms it, or else
/// there are more slips than that and no place is named.
std::string diagnose(const Rows& typed, RecoveryKind kind) {
  std::string problems;
  std::string unclear;
  auto rows = typed;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (syndromes_of(rows[i]).none()) continue;
    const auto row_name = "row " + std::to_string(i + 1);
    unclear += (unclear.empty() ? "" : " and ") + row_name;
    const auto slip = single_slip(rows[i]);
    if (!slip) continue;
    problems += (problems.empty() ? "" : "; ") + describe(i, typed[i], *slip);
    rows[i][slip->place] = slip->meant;
  }
  auto payload = payload_of(rows);
  const bool mended =
      syndromes_of(rows[0]).none() && syndromes_of(rows[1]).none() && checksum_holds(payload, kind);
  wipe(payload);
  for (auto& row : rows)
    wipe(row);
  if (mended) return problems;
  if (unclear.empty()) unclear = "the text";
  return "two or more characters are wrong or swapped in " + unclear;
}

}  // namespace

std::string recovery_text(const Seed& seed, RecoveryKind kind) {
  Payload35 payload{};
  std::copy(seed.view().begin(), seed.view().end(), payload.begin());
  add_checksum(payload, kind);
  auto rows = rows_of(payload);
  std::string text;
  text.reserve(row_count * row_symbols / group_symbols * (group_symbols + 1));
  for (auto& row : rows) {
    if (!text.empty()) text += '\n';
    for (std::size_t i = 0; i < row.size(); ++i) {
      if (i > 0 && i % group_symbols == 0) text += ' ';
      text += alphabet[row[i]];
    }
    wipe(row);
  }
  wipe(payload);
  return text;
}

Result<Seed> seed_from_recovery_text(std::string_view text, RecoveryKind kind) {
  auto rows = rows_from(text);
  if (!rows) return fail(std::move(rows.error()));
  auto payload = payload_of(*rows);
  const bool whole = syndromes_of((*rows)[0]).none() && syndromes_of((*rows)[1]).none();
  const bool right = whole && checksum_holds(payload, kind);
  const bool other = whole && checksum_holds(payload, other_than(kind));
  const auto refuse = [&] {
    const auto problem = other ? std::string(kind == RecoveryKind::owner
                                                 ? "it is a mesh key's, and an owner's is needed"
                                                 : "it is an owner's, and a mesh key's is needed")
                               : diagnose(*rows, kind) + std::string(advice);
    return Result<Seed>(fail(Errc::invalid, "recovery text: " + problem));
  };
  auto seed = right ? Seed::from(ByteView(payload).first(Seed::size)) : refuse();
  wipe(payload);
  for (auto& row : *rows)
    wipe(row);
  return seed;
}

}  // namespace zerodb
