#pragma once
// Results as JSON, for scripts (--json). What is no UTF-8 in them is replaced: a name may be any
// bytes. Thread-safe.

#include <nlohmann/json.hpp>
#include <string>

namespace zerodb::tools {

/// Indented, to be read by people, too.
std::string json_text(const nlohmann::ordered_json& document);

/// On stdout, the same way.
void print_document(const nlohmann::ordered_json& document);

/// A line of a stream of them.
std::string json_line(const nlohmann::ordered_json& document);

}  // namespace zerodb::tools
