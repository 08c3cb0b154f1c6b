#include <fmt/format.h>
#include <unistd.h>

#include "tools/terminal.hpp"
#include "tools/zdb_json.hpp"
#include "tools/zdb_print.hpp"
#include "tools/zdb_verbs.hpp"
#include "tools/zdb_workers.hpp"

namespace zerodb::tools {

namespace {

using nlohmann::ordered_json;

std::int64_t version_ms(std::uint64_t version) {
  return static_cast<std::int64_t>(version >> 16);
}

ordered_json to_json(const client::List::Entry& entry) {
  ordered_json one{{"key", entry.key},
                   {"size", entry.size},
                   {"version", entry.version},
                   {"stored_ms", version_ms(entry.version)}};
  if (entry.mtime_ms) one["mtime_ms"] = *entry.mtime_ms;
  return one;
}

ordered_json to_json(const client::ObjectInfo& info) {
  ordered_json one{{"key", info.key},
                   {"size", info.size},
                   {"version", info.version},
                   {"stored_ms", version_ms(info.version)},
                   {"attributes", info.attributes}};
  if (!info.media_type.empty()) one["media_type"] = info.media_type;
  if (info.mtime_ms) one["mtime_ms"] = *info.mtime_ms;
  if (info.replicas) one["replicas"] = *info.replicas;
  if (info.hashed_key) one["hashed_key"] = *info.hashed_key;
  if (info.blob_id) one["blob_id"] = *info.blob_id;
  return one;
}

void print_json(const std::vector<client::List::Entry>& entries) {
  auto document = ordered_json::array();
  for (const auto& entry : entries)
    document.push_back(to_json(entry));
  print_document(document);
}

void print_details(const std::vector<client::List::Entry>& entries) {
  std::size_t width = 0;
  for (const auto& entry : entries) {
    width = std::max(width, std::to_string(entry.size).size());
  }
  for (const auto& entry : entries) {
    print_out("{:>{}}  {}  {}\n", entry.size, width,
              format_time(entry.mtime_ms.value_or(version_ms(entry.version))),
              shown(entry.key, STDOUT_FILENO));
  }
}

void print_line(const char* name, const std::string& value) {
  print_out("{:<12} {}\n", name, value);
}

void print_info(const client::ObjectInfo& info) {
  print_line("key", shown(info.key, STDOUT_FILENO));
  print_line("size", fmt::format("{} ({})", info.size, format_bytes(info.size)));
  print_line("stored", format_time(version_ms(info.version)));
  if (info.mtime_ms) print_line("modified", format_time(*info.mtime_ms));
  print_line("version", std::to_string(info.version));
  if (!info.media_type.empty()) print_line("media type", shown(info.media_type, STDOUT_FILENO));
  for (const auto& [name, value] : info.attributes) {
    print_line("attribute", shown(name + ": " + value, STDOUT_FILENO));
  }
  if (info.replicas) print_line("copies", std::to_string(*info.replicas));
  if (info.hashed_key) print_line("hashed key", *info.hashed_key);
  if (info.blob_id) print_line("blob id", *info.blob_id);
}

}  // namespace

void run_ls(Session& session) {
  const auto& arguments = session.arguments();
  auto client = session.connect();
  if (!client) return;
  const auto prefix = arguments.names.empty() ? std::string() : arguments.names.front();
  const auto entries = list_all(session, *client, prefix);
  if (!entries) return;
  if (arguments.json) return print_json(*entries);
  if (arguments.details) return print_details(*entries);
  for (const auto& entry : *entries)
    print_out("{}\n", shown(entry.key, STDOUT_FILENO));
}

void run_stat(Session& session) {
  const auto& key = session.arguments().names.front();
  if (!check_key(session, key)) return;
  auto client = session.connect();
  if (!client) return;
  const auto info = client->stat(key);
  if (!info) return session.failed(key, info.error(), *client);
  session.arguments().json ? print_document(to_json(*info)) : print_info(*info);
}

}  // namespace zerodb::tools
