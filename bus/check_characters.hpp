#pragma once
// Check characters for a line of URL-safe base64 that people copy: two for every 61 characters,
// which tell the place of one that was mistyped, and what it should be. Each block is a
// Reed-Solomon codeword over GF(64). They find slips, and protect against nothing else.
// Thread-safe: pure functions.

#include <optional>
#include <string>
#include <string_view>

namespace zerodb {

/// How many check characters a text of that length has.
std::size_t check_characters_of(std::size_t text_size);

/// `text` holds letters, digits, '-' and '_' alone.
std::string check_characters(std::string_view text);

/// True for those that base64 for URLs consists of.
bool is_base64url(char character);

struct Slip {
  std::size_t place = 0;  ///< in the text followed by its check characters, from 0
  char meant = 0;
};

/// What the check characters say is wrong: nothing if all is right, or if more is wrong than one
/// character. `checked` is a text followed by its check characters, all of them base64.
std::optional<Slip> find_slip(std::string_view checked);

}  // namespace zerodb
