#include "store/salvage.hpp"

#include <algorithm>
#include <memory>
#include <system_error>

#include "store/cipher.hpp"
#include "store/file.hpp"

namespace zerodb {

namespace {

namespace fs = std::filesystem;

// ------------------------------------------------------------------------------------- reading

enum class Salvaged { all, some, nothing };

bool gives_root(ByteView sealed, const Manifest& manifest) {
  return root_of(leaf_of(sealed)) == manifest.root;
}

Result<std::optional<Payload>> whole_value(const Index& index, const Manifest& manifest) {
  auto value = index.inline_value(manifest.binding());
  const auto code = value ? Errc::corrupt : value.error().code;
  if (code != Errc::corrupt && code != Errc::not_found) return fail(std::move(value.error()));
  std::optional<Payload> whole;
  if (value && gives_root(value->view(), manifest)) whole = std::move(*value);
  return whole;
}

/// RocksDB, told to pass over damage, takes a file that cannot be opened for now for lost.
Status check_that_all_open(const fs::path& folder) {
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    const auto file = File::open_for_reading(it->path());
    if (!file && file.error().code == Errc::io) return fail(file.error());
  }
  if (error) {
    return fail(Errc::io, "cannot look through " + folder.string() + ": " + error.message());
  }
  return {};
}

class Salvager {
 public:
  explicit Salvager(const SalvageVisit& visit) : visit_(visit) {}

  /// How much of the index in `folder` there was to read.
  Result<Salvaged> read(const fs::path& folder);
  std::vector<ChunkBinding> marked() { return std::move(marked_); }

 private:
  Result<std::optional<Payload>> find_value(const Manifest& manifest) const;

  const SalvageVisit& visit_;
  std::vector<std::unique_ptr<Index>> opened_;  ///< one may have a value of what another one tells
  std::vector<ChunkBinding> marked_;
};

Result<std::optional<Payload>> Salvager::find_value(const Manifest& manifest) const {
  for (const auto& index : opened_) {
    auto whole = whole_value(*index, manifest);
    if (!whole || *whole) return whole;
  }
  return std::nullopt;
}

Result<Salvaged> Salvager::read(const fs::path& folder) {
  if (auto checked = check_that_all_open(folder); !checked) return fail(std::move(checked.error()));
  auto opened = Index::open(folder, Index::Mode::salvage);
  if (!opened && opened.error().code == Errc::corrupt) return Salvaged::nothing;
  if (!opened) return fail(opened.error());
  opened_.push_back(std::move(*opened));
  const auto& index = *opened_.back();
  bool is_all = true;
  const auto versions = index.salvage([&](const SignedManifest& manifest) -> Status {
    if (!manifest->is_inline()) return visit_(manifest, std::nullopt);
    auto sealed = find_value(manifest.manifest());
    if (!sealed) return fail(std::move(sealed.error()));
    is_all = is_all && *sealed;
    return visit_(manifest, std::move(*sealed));
  });
  if (!versions) return fail(versions.error());
  const auto marked = index.marked();
  if (!marked && marked.error().code != Errc::corrupt) return fail(marked.error());
  if (marked) marked_.insert(marked_.end(), marked->begin(), marked->end());
  return is_all && *versions && marked ? Salvaged::all : Salvaged::some;
}

// -------------------------------------------------------------------------------------- copies

Status copy_failure(const fs::path& from, const std::error_code& error) {
  return fail(Errc::io, "cannot make a copy of " + from.string() + ": " + error.message());
}

/// Copies by name, where that can be: RocksDB never changes a file that it finds.
template <class Wanted>
Status copy_files(const fs::path& from, const fs::path& to, Wanted wanted) {
  std::error_code error;
  fs::remove_all(to, error);
  if (!error) fs::create_directories(to, error);
  if (error) return copy_failure(from, error);
  for (auto it = fs::directory_iterator(from, error); !error && it != fs::directory_iterator();) {
    const auto path = it->path();
    it.increment(error);
    if (error || !wanted(path)) continue;
    fs::create_hard_link(path, to / path.filename(), error);
    if (error) fs::copy_file(path, to / path.filename(), error);
  }
  if (error) return copy_failure(from, error);
  return {};
}

bool is_list_of_files(const fs::path& path) {
  return path.filename().string().starts_with("MANIFEST-");
}

/// The name of the latest; empty if there is none.
std::string latest_list_of_files(const fs::path& folder) {
  std::string latest;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    const auto name = it->path().filename().string();
    const bool later = std::pair(name.size(), name) > std::pair(latest.size(), latest);
    if (is_list_of_files(it->path()) && later) latest = name;
  }
  return latest;
}

/// CURRENT names the list of files. It was lost, or names another one.
Result<Salvaged> read_by_latest_list(Salvager& salvager, const fs::path& folder,
                                     const fs::path& scratch) {
  const auto list = latest_list_of_files(folder);
  if (list.empty()) return Salvaged::nothing;
  const auto copied = copy_files(folder, scratch, [](const fs::path& path) {
    const auto kind = path.extension();
    return is_list_of_files(path) || kind == ".sst" || kind == ".log" || kind == ".blob";
  });
  if (!copied) return fail(copied.error());
  auto current = File::create(scratch / "CURRENT");
  if (!current) return fail(std::move(current.error()));
  const auto line = list + "\n";
  if (auto wrote = current->write_at(0, as_bytes(line)); !wrote) return fail(wrote.error());
  return salvager.read(scratch);
}

/// From each table and log that is whole, whatever the others are like.
Result<Salvaged> read_whole_files(Salvager& salvager, const fs::path& folder,
                                  const fs::path& scratch) {
  const auto copied = copy_files(folder, scratch, [](const fs::path& path) {
    return path.extension() == ".sst" || path.extension() == ".log";
  });
  if (!copied) return fail(copied.error());
  if (auto checked = check_that_all_open(scratch); !checked)
    return fail(std::move(checked.error()));
  const auto repaired = Index::repair(scratch);
  if (!repaired && repaired.error().code == Errc::corrupt) return Salvaged::nothing;
  if (!repaired) return fail(repaired.error());
  return salvager.read(scratch);
}

}  // namespace

Result<std::vector<ChunkBinding>> salvage_index(const fs::path& folder, const fs::path& scratch,
                                                const SalvageVisit& visit) {
  Salvager salvager(visit);
  auto salvaged = salvager.read(folder);
  if (salvaged && *salvaged == Salvaged::nothing) {
    salvaged = read_by_latest_list(salvager, folder, scratch / "listed");
  }
  if (salvaged && *salvaged != Salvaged::all) {
    salvaged = read_whole_files(salvager, folder, scratch / "whole");
  }
  std::error_code ignored;
  fs::remove_all(scratch, ignored);
  if (!salvaged) return fail(std::move(salvaged.error()));
  return salvager.marked();
}

}  // namespace zerodb
