#include "node/passphrase.hpp"

#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "store/keys.hpp"

namespace zerodb {

namespace {

/// Input from the terminal is not shown while this lives.
class EchoOff {
 public:
  explicit EchoOff(int terminal) : terminal_(terminal) {
    changed_ = ::tcgetattr(terminal_, &before_) == 0;
    auto quiet = before_;
    quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
    if (changed_) ::tcsetattr(terminal_, TCSAFLUSH, &quiet);
  }
  ~EchoOff() {
    if (changed_) ::tcsetattr(terminal_, TCSAFLUSH, &before_);
  }
  EchoOff(const EchoOff&) = delete;
  EchoOff& operator=(const EchoOff&) = delete;

 private:
  int terminal_;
  termios before_{};
  bool changed_ = false;
};

class Terminal {
 public:
  Terminal() : file_(::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) {}
  ~Terminal() {
    if (file_ >= 0) ::close(file_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  int file() const { return file_; }

 private:
  int file_;
};

void show(int terminal, std::string_view text) {
  // A prompt that cannot be shown is no reason not to read the answer.
  [[maybe_unused]] const auto written = ::write(terminal, text.data(), text.size());
}

}  // namespace

Result<Passphrase> Passphrase::from(Bytes bytes) {
  if (bytes.empty()) return fail(Errc::invalid, "the passphrase is empty");
  return Passphrase(std::move(bytes));
}

Passphrase::~Passphrase() {
  wipe(bytes_);
}

Result<Passphrase> read_passphrase(int descriptor) {
  Bytes bytes(passphrase_bytes_max + 1);  // at full length, so that no growth leaves copies
  std::size_t filled = 0;
  auto line_end = bytes.begin();
  while (filled < bytes.size()) {
    const auto got = ::read(descriptor, bytes.data() + filled, bytes.size() - filled);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      wipe(bytes);
      return fail(Errc::invalid, "cannot read a passphrase from file descriptor " +
                                     std::to_string(descriptor) + ": " +
                                     std::generic_category().message(errno));
    }
    filled += static_cast<std::size_t>(got);
    const auto end = bytes.begin() + static_cast<std::ptrdiff_t>(filled);
    line_end = std::find(bytes.begin(), end, static_cast<std::uint8_t>('\n'));
    if (line_end != end || got == 0) break;
  }
  const auto length = static_cast<std::size_t>(line_end - bytes.begin());
  if (length > passphrase_bytes_max) {
    wipe(bytes);
    return fail(Errc::invalid,
                "the passphrase is longer than " + std::to_string(passphrase_bytes_max) + " bytes");
  }
  wipe(MutableBytes(bytes).subspan(length));
  bytes.resize(length);
  return Passphrase::from(std::move(bytes));
}

bool has_terminal() {
  return ::isatty(STDIN_FILENO) == 1 && Terminal().file() >= 0;
}

Result<Passphrase> ask_passphrase(std::string_view prompt) {
  const Terminal terminal;
  if (terminal.file() < 0) return fail(Errc::invalid, "no terminal to ask for a passphrase on");
  const EchoOff quiet(terminal.file());
  show(terminal.file(), prompt);
  auto answer = read_passphrase(terminal.file());
  show(terminal.file(), "\n");
  return answer;
}

Result<Passphrase> ask_new_passphrase() {
  auto first = ask_passphrase("New passphrase for the owner's key: ");
  if (!first) return first;
  auto again = ask_passphrase("The same again: ");
  if (!again) return again;
  if (first->view() != again->view()) {
    return fail(Errc::invalid, "the two passphrases differ: nothing was made");
  }
  return first;
}

}  // namespace zerodb
