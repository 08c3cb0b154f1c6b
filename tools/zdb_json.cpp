#include "tools/zdb_json.hpp"

#include "tools/zdb_print.hpp"

namespace zerodb::tools {

namespace {

constexpr int indent = 2;
constexpr int one_line = -1;

std::string written(const nlohmann::ordered_json& document, int how) {
  return document.dump(how, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string json_text(const nlohmann::ordered_json& document) {
  return written(document, indent);
}

void print_document(const nlohmann::ordered_json& document) {
  write_text(stdout, json_text(document));
}

std::string json_line(const nlohmann::ordered_json& document) {
  return written(document, one_line);
}

}  // namespace zerodb::tools
