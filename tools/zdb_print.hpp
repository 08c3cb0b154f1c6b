#pragma once
// What zdb writes to stdout and stderr. A full disk or a closed pipe there throws nothing: for
// stdout it is told at the end, for stderr there is nobody to tell. Thread-safe.

#include <fmt/format.h>

#include <cstdio>
#include <string_view>

#include "store/result.hpp"

namespace zerodb::tools {

void write_text(std::FILE* to, std::string_view text);

template <class... Parts>
void print_out(fmt::format_string<Parts...> format, Parts&&... parts) {
  write_text(stdout, fmt::format(format, std::forward<Parts>(parts)...));
}

template <class... Parts>
void print_error(fmt::format_string<Parts...> format, Parts&&... parts) {
  write_text(stderr, fmt::format(format, std::forward<Parts>(parts)...));
}

/// Whether all that was printed to stdout is written: `full` when the disk is, `io` otherwise.
Status flush_stdout();

}  // namespace zerodb::tools
