#include "tools/zdb_print.hpp"

#include <atomic>
#include <cerrno>

#include "tools/zdb_files.hpp"

namespace zerodb::tools {

namespace {

/// Why stdout failed first; 0 if it did not.
std::atomic<int> stdout_error{0};

void remember(int number) {
  int none = 0;
  stdout_error.compare_exchange_strong(none, number);
}

}  // namespace

void write_text(std::FILE* to, std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), to) == text.size()) return;
  if (to == stdout) remember(errno);
}

Status flush_stdout() {
  if (std::fflush(stdout) != 0) remember(errno);
  if (const int number = stdout_error; number != 0) {
    return fail(system_error("stdout", "cannot be written", number));
  }
  return {};
}

}  // namespace zerodb::tools
