#pragma once
// Passphrases, from a terminal without echo or from a file descriptor. They are wiped when dropped
// and never printed. Blocking; one thread.

#include <optional>
#include <string_view>

#include "store/bytes.hpp"

namespace zerodb {

inline constexpr std::size_t passphrase_bytes_max = 1024;

class Passphrase {
 public:
  /// Takes the bytes over. `invalid` when empty.
  static Result<Passphrase> from(Bytes bytes);
  Passphrase(Passphrase&&) noexcept = default;
  Passphrase& operator=(Passphrase&&) = delete;
  ~Passphrase();

  std::string_view view() const { return as_text(bytes_); }

 private:
  explicit Passphrase(Bytes bytes) : bytes_(std::move(bytes)) {}
  Bytes bytes_;
};

/// The first line of what the descriptor gives; leaves it open.
Result<Passphrase> read_passphrase(int descriptor);

/// True if a person can be asked.
bool has_terminal();

/// Asks on the terminal, without echo. A signal that ends or stops the program does so once the
/// terminal is as it was; `invalid` if the program catches it.
Result<Passphrase> ask_passphrase(std::string_view prompt);
/// Asks twice; `invalid` when the answers differ.
Result<Passphrase> ask_new_passphrase();

}  // namespace zerodb
