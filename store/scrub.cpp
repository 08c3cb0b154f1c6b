#include "store/scrub.hpp"

#include <algorithm>
#include <chrono>
#include <limits>

#include "store/blob_format.hpp"

namespace zerodb {

namespace {

namespace fs = std::filesystem;

constexpr std::size_t page_versions_max = 256;
constexpr std::uint64_t no_limit = std::numeric_limits<std::uint64_t>::max();

/// An upload that is being committed has its final name a moment before the index knows it.
constexpr std::chrono::hours orphan_grace{1};

/// Of the whole walk; what follows is the look for orphans.
constexpr std::uint32_t versions_per_mille = 950;

// ------------------------------------------------------------------------------------- positions

// "v" ‖ chunk, u64 ‖ key in `versions`: verify from there on.
// "w" ‖ the same: so far that version, which is marked as damaged, was found whole.
// "f" ‖ folder in blobs/, two levels deep: compare the files of the folders after it.
std::string file_position(const std::string& folder) {
  return "f" + folder;
}

std::uint32_t partition_at(const std::string& key) {
  if (key.size() < 2) return 0;
  return static_cast<std::uint32_t>(static_cast<std::uint8_t>(key[0]) << 8 |
                                    static_cast<std::uint8_t>(key[1]));
}

std::uint32_t share_of(const std::string& key) {
  const auto partition = std::min<std::uint64_t>(partition_at(key), partition_count);
  return static_cast<std::uint32_t>(partition * versions_per_mille / partition_count);
}

// ----------------------------------------------------------------------------------------- files

/// Names of the folders in `folder`, in order.
std::vector<std::string> folders_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_directory(ignored)) names.push_back(it->path().filename().string());
  }
  std::ranges::sort(names);
  return names;
}

/// The first "<owner>/<first byte>" after `after`.
std::optional<std::string> next_folder(const fs::path& root, const std::string& after) {
  for (const auto& owner : folders_in(root)) {
    if (owner < after.substr(0, after.find('/'))) continue;
    for (const auto& first : folders_in(root / owner)) {
      auto name = owner + "/" + first;
      if (name > after) return name;
    }
  }
  return std::nullopt;
}

/// What the path of a blob file says it holds; nothing if it says nothing.
std::optional<ChunkBinding> binding_of(const fs::path& path) {
  const auto name = path.filename().string();
  const auto dot = name.find('.');
  if (dot == std::string::npos) return std::nullopt;
  const auto owner = path.parent_path().parent_path().parent_path().filename().string();
  const auto owner_id = OwnerId::from_hex(owner);
  const auto hashed_key = HashedKey::from_hex(std::string_view(name).substr(0, dot));
  const auto blob_id = BlobId::from_hex(std::string_view(name).substr(dot + 1));
  if (!owner_id || !hashed_key || !blob_id) return std::nullopt;
  return ChunkBinding{.object = {.owner = *owner_id, .hashed_key = *hashed_key},
                      .blob_id = *blob_id};
}

bool is_young(const fs::path& path) {
  std::error_code error;
  const auto written = fs::last_write_time(path, error);
  return error || fs::file_time_type::clock::now() - written < orphan_grace;
}

bool is_damage(const Error& error) {
  return error.code == Errc::corrupt || error.code == Errc::not_found;
}

}  // namespace

std::string Scrub::position_of(const Place& place) {
  Bytes number(8);
  put_u64(number, place.chunk);
  return (place.marked_whole_so_far ? "w" : "v") + std::string(as_text(number)) + place.key;
}

Result<ScrubStep> Scrub::step(const std::string& position, std::uint64_t bytes_max) {
  constexpr std::size_t head = 1 + 8;
  if (position.starts_with('f')) return walk_files(position.substr(1));
  const bool known = position.starts_with('v') || position.starts_with('w');
  if (!known || position.size() < head) return walk_versions({}, bytes_max);
  return walk_versions({.key = position.substr(head),
                        .chunk = get_u64(as_bytes(std::string_view(position).substr(1, 8))),
                        .marked_whole_so_far = position.starts_with('w')},
                       bytes_max);
}

// -------------------------------------------------------------------------------------- versions

Result<ScrubStep> Scrub::walk_versions(const Place& from, std::uint64_t bytes_max) {
  const auto page = parts_.index.latest_from(from.key, page_versions_max);
  if (!page && page.error().code == Errc::corrupt) return pass_over(from.key, page.error());
  if (!page) return fail(page.error());
  ScrubStep step;
  step.done_per_mille = versions_per_mille;
  step.next = file_position("");
  for (const auto& [at, manifest] : *page) {
    step.done_per_mille = share_of(at);
    const auto first = at == from.key ? from.chunk : 0;
    // What is marked meanwhile was found damaged after the walk had seen it.
    const bool whole_before =
        first == 0 ? parts_.marks.contains(manifest->binding()) : from.marked_whole_so_far;
    const auto left = bytes_max - std::min(bytes_max, step.counts.bytes);
    auto looked = look(manifest, first, std::max<std::uint64_t>(left, 1));
    if (!looked) return fail(std::move(looked.error()));
    step.counts.bytes += looked->bytes;
    const auto whole = note(manifest, *looked, whole_before);
    if (!whole) return fail(whole.error());
    if (!*whole) step.findings.push_back(looked->damage->what);
    step.counts.damaged += *whole ? 0 : 1;
    step.counts.versions += looked->next_chunk ? 0 : 1;
    step.next =
        looked->next_chunk
            ? position_of(
                  {.key = at, .chunk = *looked->next_chunk, .marked_whole_so_far = whole_before})
            : position_of({.key = index_key::after_all(std::string(index_key::object_part(at)))});
    if (step.counts.bytes >= bytes_max) break;
  }
  return step;
}

/// A part of the index cannot be read: what follows is, from the next partition on.
ScrubStep Scrub::pass_over(const std::string& key, const Error& error) {
  parts_.on_index_damage();
  const auto next = partition_at(key) + 1;
  ScrubStep step;
  step.findings.push_back(error.what);
  step.next = next < partition_count
                  ? position_of({.key = index_key::of_partition(static_cast<Partition>(next))})
                  : file_position("");
  step.done_per_mille = share_of(key);
  return step;
}

Result<bool> Scrub::check(const SignedManifest& manifest) {
  const bool whole_before = parts_.marks.contains(manifest->binding());
  std::optional<std::uint64_t> chunk = 0;
  while (chunk) {
    auto looked = look(manifest, *chunk, no_limit);
    if (!looked) return fail(looked.error());
    const auto whole = note(manifest, *looked, whole_before);
    if (!whole || !*whole) return whole;
    chunk = looked->next_chunk;
  }
  return true;
}

/// Marks what is damaged, and unmarks what is whole again; true if it is whole.
Result<bool> Scrub::note(const SignedManifest& manifest, Look& look, bool whole_before) {
  if (look.damage) {
    const auto whole = confirm(manifest, look);
    // What could not be read once could be when asked again: what comes after was not looked at.
    if (whole && *whole && look.bad_chunk && *look.bad_chunk + 1 < manifest->chunk_count)
      look.next_chunk = *look.bad_chunk + 1;
    return whole;
  }
  const bool wholly = whole_before && !look.next_chunk;
  if (wholly && !manifest->is_tombstone() && parts_.marks.contains(manifest->binding())) {
    if (auto removed = parts_.marks.remove({manifest->binding()}); !removed) {
      return fail(std::move(removed.error()));
    }
  }
  return true;
}

/// Looks again at what was bad, now that nobody replaces or drops it meanwhile.
Result<bool> Scrub::confirm(const SignedManifest& manifest, const Look& seen) {
  const auto guard = parts_.lock(manifest->object);
  const auto latest = parts_.index.latest(manifest->object);
  if (!latest) return fail(latest.error());
  if (!*latest || (*latest)->manifest().is_tombstone() != manifest->is_tombstone() ||
      (*latest)->manifest().blob_id != manifest->blob_id) {
    return true;
  }
  const auto again = look(**latest, seen.bad_chunk.value_or(0), 1);
  if (!again) return fail(again.error());
  if (!again->damage) return true;
  if (manifest->is_tombstone()) {
    parts_.on_index_damage();
    return false;
  }
  auto marked = parts_.marks.add(manifest->binding(), parts_.now_ms());
  if (!marked) return fail(std::move(marked.error()));
  return false;
}

Result<Scrub::Look> Scrub::look(const SignedManifest& manifest, std::uint64_t chunk,
                                std::uint64_t bytes_max) {
  if (chunk == 0) {
    // What the index holds was verified before it was kept: this is the index's own damage.
    if (auto verified = SignedManifest::verify(manifest.wire()); !verified) {
      parts_.on_index_damage();
      return Look{.damage = Error{Errc::corrupt, "the index: " + verified.error().what}};
    }
  }
  if (manifest->is_tombstone()) return Look{.bytes = manifest.wire().size()};
  if (manifest->is_inline()) return look_inline(manifest);
  return look_in_file(manifest.manifest(), chunk, bytes_max);
}

Result<Scrub::Look> Scrub::look_inline(const SignedManifest& manifest) {
  const auto name = "the inline bytes of " + manifest->object.hashed_key.hex();
  const auto sealed = parts_.index.inline_value(manifest->binding());
  if (!sealed && !is_damage(sealed.error())) return fail(sealed.error());
  if (!sealed) {
    return Look{.damage = Error{sealed.error().code, name + ": " + sealed.error().what}};
  }
  Look look{.bytes = sealed->size() + manifest.wire().size()};
  if (root_of(leaf_of(sealed->view())) != manifest->root) {
    look.damage = Error{Errc::corrupt, name + " are not what was signed"};
  }
  return look;
}

Result<Scrub::Look> Scrub::look_in_file(const Manifest& manifest, std::uint64_t chunk,
                                        std::uint64_t bytes_max) {
  Look look;
  auto check = BlobCheck::begin(parts_.blobs.path_of(manifest.binding()), manifest);
  if (!check && !is_damage(check.error())) return fail(std::move(check.error()));
  if (!check) {
    look.damage = std::move(check.error());
    return look;
  }
  for (; chunk < manifest.chunk_count && look.bytes < bytes_max; ++chunk) {
    look.bytes += blob_format::sealed_chunk_size_at(manifest, chunk);
    if (auto whole = check->check_chunk(chunk); !whole) {
      look.damage = std::move(whole.error());
      look.bad_chunk = chunk;
      break;
    }
  }
  check->end();
  if (!look.damage && chunk < manifest.chunk_count) look.next_chunk = chunk;
  return look;
}

// ----------------------------------------------------------------------------------------- files

Result<ScrubStep> Scrub::walk_files(const std::string& after) {
  const auto root = parts_.blobs.folder();
  ScrubStep step;
  step.done_per_mille = 1000;
  const auto folder = next_folder(root, after);
  if (!folder) return step;
  for (const auto& second : folders_in(root / *folder)) {
    if (auto looked = look_for_orphans(root / *folder / second, step); !looked) {
      return fail(std::move(looked.error()));
    }
  }
  step.next = file_position(*folder);
  return step;
}

Status Scrub::look_for_orphans(const fs::path& folder, ScrubStep& step) {
  std::vector<fs::path> files;
  std::error_code error;
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    if (it->is_regular_file(ignored)) files.push_back(it->path());
  }
  for (const auto& path : files) {
    const auto binding = binding_of(path);
    auto orphan = is_orphan(path, binding);
    if (!orphan) return fail(std::move(orphan.error()));
    if (!*orphan || is_young(path)) continue;
    std::unique_lock<std::mutex> guard;
    if (binding) guard = parts_.lock(binding->object);
    orphan = is_orphan(path, binding);
    if (!orphan) return fail(std::move(orphan.error()));
    if (!*orphan) continue;
    if (auto done = put_aside(path, step); !done) return done;
  }
  return {};
}

/// What the index cannot tell of is left where it is.
Result<bool> Scrub::is_orphan(const fs::path& path,
                              const std::optional<ChunkBinding>& binding) const {
  if (!binding || parts_.blobs.path_of(*binding) != path) return true;
  const auto found = parts_.index.find(binding->object, binding->blob_id);
  if (found) return !*found;
  if (found.error().code != Errc::corrupt) return fail(found.error());
  parts_.on_index_damage();
  return false;
}

Status Scrub::put_aside(const fs::path& path, ScrubStep& step) {
  if (auto taken = parts_.quarantine.take(path); !taken) return taken;
  parts_.blobs.forget(path);
  ++step.counts.orphans;
  step.findings.push_back("no version refers to the file " + path.string());
  return {};
}

}  // namespace zerodb
