#include "store/store_format.hpp"

#include <charconv>
#include <optional>
#include <system_error>

#include "store/file.hpp"

namespace zerodb {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view head = "zerodb store format ";
constexpr std::size_t file_bytes_max = 64;

/// "zerodb store format 1\n"
std::optional<unsigned> number_in(std::string_view text) {
  if (!text.starts_with(head) || !text.ends_with('\n')) return std::nullopt;
  text.remove_prefix(head.size());
  text.remove_suffix(1);
  unsigned number = 0;
  const auto* end = text.data() + text.size();
  const auto [stopped, problem] = std::from_chars(text.data(), end, number);
  if (problem != std::errc{} || stopped != end) return std::nullopt;
  return number;
}

Status write_format(const fs::path& folder) {
  const auto temporary = folder / "format.new";
  std::error_code error;
  fs::remove(temporary, error);
  auto file = File::create(temporary);
  if (!file) return fail(std::move(file.error()));
  const auto line = std::string(head) + std::to_string(store_format) + "\n";
  if (auto wrote = file->write_at(0, as_bytes(line)); !wrote) return wrote;
  if (auto synced = file->sync_data(); !synced) return synced;
  fs::rename(temporary, folder / "format", error);
  if (error) return fail(Errc::io, "cannot rename " + temporary.string() + ": " + error.message());
  return sync_folder(folder);
}

Status check_number(const fs::path& path, const File& file) {
  Bytes bytes(file_bytes_max);
  const auto got = file.read_at(0, bytes);
  if (!got) return fail(got.error());
  const auto number = number_in(as_text(bytes).substr(0, *got));
  if (!number) return fail(Errc::corrupt, path.string() + " does not name a format");
  if (*number <= store_format) return {};
  return fail(Errc::invalid, "was written by a newer zerodb (format " + std::to_string(*number) +
                                 "); this one reads up to " + std::to_string(store_format));
}

}  // namespace

Status check_store_format(const fs::path& folder) {
  const auto path = folder / "format";
  const auto file = File::open_for_reading(path);
  if (file) return check_number(path, *file);
  if (file.error().code != Errc::not_found) return fail(file.error());
  std::error_code error;
  if (!fs::exists(folder / "index", error)) return write_format(folder);
  return fail(Errc::corrupt, path.string() + " is missing beside an index; restore it");
}

}  // namespace zerodb
