#include "tools/zdb_names.hpp"

#include <map>

#include "store/bytes.hpp"

namespace zerodb::tools {

namespace {

constexpr std::size_t file_name_bytes_max = 255;

Status check_component(std::string_view component) {
  if (component.empty()) return fail(Errc::invalid, "has an empty part");
  if (component == "." || component == "..") {
    return fail(Errc::invalid, "has a part '" + std::string(component) + "'");
  }
  if (component.find('\0') != std::string_view::npos) return fail(Errc::invalid, "has a NUL byte");
  if (component.size() > file_name_bytes_max) {
    return fail(Errc::invalid, "has a part longer than a file's name may be");
  }
  return {};
}

}  // namespace

std::string last_component(std::string_view name) {
  return std::string(name.substr(name.rfind('/') + 1));
}

Result<std::filesystem::path> path_under(const std::filesystem::path& folder,
                                         std::string_view prefix, std::string_view key) {
  auto rest = key.substr(std::min(prefix.size(), key.size()));
  auto path = folder;
  for (bool more = true; more;) {
    const auto slash = rest.find('/');
    more = slash != std::string_view::npos;
    const auto component = rest.substr(0, slash);
    if (auto checked = check_component(component); !checked) {
      return fail(Errc::invalid, checked.error().what +
                                     " and cannot be a file's path: fetch it alone, with: zdb get "
                                     "KEY PATH");
    }
    path /= component;
    if (more) rest.remove_prefix(slash + 1);
  }
  return path;
}

Result<std::vector<PutItem>> put_items(const std::vector<std::string>& names) {
  if (names.size() == 1) {
    if (names[0] == "-") return fail(Errc::invalid, "stdin needs a key; use: zdb put - KEY");
    return std::vector<PutItem>{{.path = names[0], .key = last_component(names[0])}};
  }
  const auto& last = names.back();
  const bool prefixed = last.ends_with('/') || last.empty();
  if (names.size() == 2 && !last.ends_with('/')) {
    return std::vector<PutItem>{{.path = names[0], .key = last}};
  }
  if (!prefixed) {
    return fail(Errc::invalid,
                "several files need a prefix, which ends in '/'; use: zdb put "
                "PATH... " +
                    printable(last) + "/");
  }
  std::vector<PutItem> items;
  std::map<std::string, std::string> path_of;
  for (std::size_t i = 0; i + 1 < names.size(); ++i) {
    if (names[i] == "-") return fail(Errc::invalid, "stdin needs a key; use: zdb put - KEY");
    items.push_back({.path = names[i], .key = last + last_component(names[i])});
    const auto [other, only] = path_of.emplace(items.back().key, names[i]);
    if (!only) {
      return fail(Errc::invalid, printable(other->second) + " and " + printable(names[i]) +
                                     ": would both be " + printable(other->first) +
                                     "; put them one by one, under keys of their own");
    }
  }
  return items;
}

std::string default_prefix(const std::filesystem::path& folder) {
  std::error_code failed;
  const auto whole = std::filesystem::canonical(folder, failed);
  const auto name = (failed ? folder : whole).filename().string();
  return name.empty() ? "" : name + "/";
}

}  // namespace zerodb::tools
