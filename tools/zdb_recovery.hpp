#pragma once
// Recovery texts on their way between a person and a node. One thread.

#include "tools/zdb_session.hpp"

namespace zerodb::tools {

/// Prints the text, or reports the error.
void print_text(Session& session, const BusClient& client, const Result<std::string>& text);

/// The recovery text that the verb's argument names, or stdin holds; at a terminal it is asked for.
Result<std::string> read_recovery_text(const Arguments& arguments);

}  // namespace zerodb::tools
