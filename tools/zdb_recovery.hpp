#pragma once
// Recovery texts, tickets and credentials on their way between a person and a node. One thread.

#include "tools/zdb_files.hpp"
#include "tools/zdb_session.hpp"

namespace zerodb::tools {

/// Prints the text, or reports the error.
void print_text(Session& session, const BusClient& client, const Result<std::string>& text);

/// Where a secret goes: to stdout, or to the file of --output, which only this user may read. To be
/// called before the node is asked for it, and before other threads are started.
Result<OutputFile> open_secret(const Arguments& arguments);

/// Writes the text there, or reports the error; true if it is written.
bool write_secret(Session& session, const BusClient& client, OutputFile& to,
                  const Result<std::string>& text);

/// The recovery text that the verb's argument names, or stdin holds; at a terminal it is asked for.
Result<std::string> read_recovery_text(const Arguments& arguments);

}  // namespace zerodb::tools
