#include "node/passphrase.hpp"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "store/keys.hpp"

namespace zerodb {

namespace {

/// What would end or stop the process waits while this lives, so that no terminal is left without
/// its echo. Signals that are ignored stay so.
class HeldSignals {
 public:
  HeldSignals() {
    sigset_t held;
    sigemptyset(&held);
    for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP}) {
      struct sigaction action {};
      ::sigaction(signal, nullptr, &action);
      if (action.sa_handler != SIG_IGN) sigaddset(&held, signal);
    }
    ::pthread_sigmask(SIG_BLOCK, &held, &before_);
    file_ = ::signalfd(-1, &held, SFD_CLOEXEC);
    if (file_ < 0) release();
  }
  ~HeldSignals() {
    if (file_ < 0) return;
    ::close(file_);
    release();
  }
  HeldSignals(const HeldSignals&) = delete;
  HeldSignals& operator=(const HeldSignals&) = delete;

  /// Waits for input; the signal that came first, or 0. It is for the caller to raise again.
  int wait_for(int descriptor) const {
    pollfd waiting[2] = {{descriptor, POLLIN, 0}, {file_, POLLIN, 0}};
    while (::poll(waiting, 2, -1) < 0 && errno == EINTR) {
    }
    signalfd_siginfo about{};
    const bool came = (waiting[1].revents & POLLIN) != 0 &&
                      ::read(file_, &about, sizeof about) == ssize_t{sizeof about};
    return came ? static_cast<int>(about.ssi_signo) : 0;
  }

 private:
  void release() const { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

  sigset_t before_{};
  int file_ = -1;
};

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

/// The first line. Where signals are held, one that comes before it is written to `signal`, and the
/// answer is an error.
Result<Passphrase> read_line(int descriptor, const HeldSignals* held, int& signal) {
  Bytes bytes(passphrase_bytes_max + 1);  // at full length, so that no growth leaves copies
  std::size_t filled = 0;
  auto line_end = bytes.begin();
  while (filled < bytes.size()) {
    signal = held != nullptr ? held->wait_for(descriptor) : 0;
    if (signal != 0) {
      wipe(bytes);
      return fail(Errc::invalid, "interrupted while asking for a passphrase");
    }
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

/// As read_line, on the terminal, which is as it was when this returns.
Result<Passphrase> ask_once(int terminal, std::string_view prompt, int& signal) {
  const HeldSignals held;
  const EchoOff quiet(terminal);
  show(terminal, prompt);
  auto answer = read_line(terminal, &held, signal);
  show(terminal, "\n");
  return answer;
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
  int no_signal = 0;
  return read_line(descriptor, nullptr, no_signal);
}

bool has_terminal() {
  return ::isatty(STDIN_FILENO) == 1 && Terminal().file() >= 0;
}

Result<Passphrase> ask_passphrase(std::string_view prompt) {
  const Terminal terminal;
  if (terminal.file() < 0) return fail(Errc::invalid, "no terminal to ask for a passphrase on");
  for (;;) {
    int signal = 0;
    auto answer = ask_once(terminal.file(), prompt, signal);
    if (signal == 0) return answer;
    ::raise(signal);
    // Who stopped the program and had it go on is asked again.
    if (signal != SIGTSTP) return answer;
  }
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
