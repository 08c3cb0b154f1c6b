#include "tools/zdb_recovery.hpp"

#include <unistd.h>

#include "tools/terminal.hpp"
#include "tools/unfinished_files.hpp"
#include "tools/zdb_files.hpp"
#include "tools/zdb_print.hpp"

namespace zerodb::tools {

namespace {

constexpr std::size_t recovery_text_bytes_max = 4096;

/// A person ends the text with an empty line, a file with its end.
bool is_all(const std::string& text, bool asked) {
  return asked && text.ends_with("\n\n");
}

}  // namespace

void print_text(Session& session, const BusClient& client, const Result<std::string>& text) {
  if (!text) return session.failed("", text.error(), client);
  print_out("{}{}", *text, text->ends_with('\n') ? "" : "\n");
}

Result<OutputFile> open_secret(const Arguments& arguments) {
  if (arguments.output) remove_unfinished_files_on_signals();
  auto file = OutputFile::create(arguments.output.value_or("-"));
  if (file) file->keep_private();
  return file;
}

bool write_secret(Session& session, const BusClient& client, OutputFile& to,
                  const Result<std::string>& text) {
  if (!text) {
    session.failed("", text.error(), client);
    return false;
  }
  const auto line = *text + (text->ends_with('\n') ? "" : "\n");
  auto written = to.write(as_bytes(line));
  if (written) written = to.finish({});
  if (!written) session.failed("", written.error());
  return written.has_value();
}

Result<std::string> read_recovery_text(const Arguments& arguments) {
  const std::filesystem::path path(arguments.names.empty() ? "-" : arguments.names.front());
  auto file = InputFile::open(path);
  if (!file) return fail(std::move(file.error()));
  const bool asked = path == "-" && is_terminal(STDIN_FILENO);
  if (asked) print_error("Recovery text, then an empty line:\n");
  std::string text;
  Bytes buffer(recovery_text_bytes_max + 1);
  while (text.size() <= recovery_text_bytes_max && !is_all(text, asked)) {
    const auto count = file->read(buffer);
    if (!count && count.error().code == Errc::busy) continue;
    if (!count) return fail(count.error());
    if (*count == 0) return text;
    text += as_text(ByteView(buffer).first(*count));
  }
  if (text.size() <= recovery_text_bytes_max) return text;
  return fail(Errc::invalid, printable(path.string()) + ": is too long for a recovery text");
}

}  // namespace zerodb::tools
