#include "store/rebuild.hpp"

#include <algorithm>
#include <set>
#include <system_error>
#include <utility>

#include "store/blobs.hpp"
#include "store/salvage.hpp"
#include "store/torn_log.hpp"

namespace zerodb {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view note_name = "index.lost";
constexpr std::string_view aside_prefix = "index.damaged-";
constexpr std::size_t batch_versions = 512;

Status os_failure(const std::string& doing, const std::error_code& error) {
  return fail(Errc::io, "cannot " + doing + ": " + error.message());
}

/// What cannot be looked at is there: whoever opens it is told why it cannot.
bool is_missing(const fs::path& path) {
  std::error_code error;
  return fs::status(path, error).type() == fs::file_type::not_found;
}

/// Where the old index is, or goes: the note holds its name.
Result<fs::path> aside_path(const fs::path& folder) {
  const auto note = File::open_for_reading(folder / note_name);
  if (!note) return fail(note.error());
  Bytes bytes(64);
  const auto got = note->read_at(0, bytes);
  if (!got) return fail(got.error());
  const auto name = std::string(as_text(ByteView(bytes).first(*got)));
  const bool sane = name.starts_with(aside_prefix) && name.find('/') == std::string::npos;
  return folder / (sane ? name : std::string(aside_prefix) + "0");
}

/// Collects versions and adds them to the index, with one sync for many. Those that come without
/// their bytes are marked, so that nobody is told that they are held here.
class Adopter {
 public:
  Adopter(Index& index, const fs::path& folder, std::uint64_t now_ms)
      : index_(index), blobs_(folder, 0), now_ms_(now_ms) {}

  /// A version as somebody found it: nothing happens if its signature is not right, or it is here
  /// with its bytes.
  Status adopt(const SignedManifest& found, std::optional<Payload> sealed);
  Status flush();
  /// A mark of the old index, once all versions are here.
  Status mark(const ChunkBinding& binding);
  /// Marks what stands without its file, as where the log lost that a version was dropped.
  Status mark_without_files();

 private:
  struct Kept {
    SignedManifest manifest;
    std::optional<Payload> sealed;
    std::optional<Entry> superseded;
    bool is_damaged = false;
    std::optional<ChunkBinding> unmark;
  };

  bool has_bytes(const Manifest& manifest, const std::optional<Payload>& sealed) const;
  bool is_marked(const ChunkBinding& binding) const {
    return marked_.contains(index_key::of_blob(binding));
  }
  bool place(Kept& kept, const std::optional<SignedManifest>& latest);

  Index& index_;
  const Blobs blobs_;
  const std::uint64_t now_ms_;
  std::vector<Kept> batch_;
  std::set<ObjectId> objects_;    ///< in the batch
  std::set<std::string> marked_;  ///< by this
};

bool Adopter::has_bytes(const Manifest& manifest, const std::optional<Payload>& sealed) const {
  if (manifest.is_tombstone()) return true;
  return manifest.is_inline() ? sealed.has_value() : blobs_.holds(manifest.binding());
}

/// False if it is here already. Only what stands is marked.
bool Adopter::place(Kept& kept, const std::optional<SignedManifest>& latest) {
  const auto binding = kept.manifest->binding();
  const bool lacks_bytes = !has_bytes(kept.manifest.manifest(), kept.sealed);
  if (latest && latest->hash() == kept.manifest.hash()) {
    if (lacks_bytes || !is_marked(binding)) return false;
    kept.unmark = binding;
    return true;
  }
  const bool stands = !latest || kept.manifest.is_later_than(*latest);
  kept.is_damaged = stands && lacks_bytes;
  if (!latest) return true;
  kept.superseded = counted(stands ? *latest : kept.manifest).entry;
  if (stands && is_marked((*latest)->binding())) kept.unmark = (*latest)->binding();
  return true;
}

Status Adopter::adopt(const SignedManifest& found, std::optional<Payload> sealed) {
  auto manifest = SignedManifest::verify(found.wire());
  if (!manifest) return {};
  const auto object = (*manifest)->object;
  if (batch_.size() >= batch_versions || objects_.contains(object)) {
    if (auto flushed = flush(); !flushed) return flushed;
  }
  const auto latest = index_.latest(object);
  if (!latest) return fail(latest.error());
  Kept kept{.manifest = std::move(*manifest), .sealed = std::move(sealed)};
  if (!place(kept, *latest)) return {};
  if (kept.unmark) marked_.erase(index_key::of_blob(*kept.unmark));
  if (kept.is_damaged) marked_.insert(index_key::of_blob(kept.manifest->binding()));
  objects_.insert(object);
  batch_.push_back(std::move(kept));
  return {};
}

Status Adopter::flush() {
  std::vector<Index::Addition> additions;
  for (const auto& kept : batch_) {
    Index::Addition addition{.manifest = kept.manifest,
                             .superseded = kept.superseded,
                             .superseded_ms = now_ms_,
                             .unmark = kept.unmark};
    if (kept.sealed) addition.inline_value = kept.sealed->view();
    if (kept.is_damaged) addition.damaged_ms = now_ms_;
    additions.push_back(addition);
  }
  const auto added = additions.empty() ? Status() : index_.add(additions);
  batch_.clear();
  objects_.clear();
  return added;
}

/// An inline value that was found is whole, whatever it was.
Status Adopter::mark(const ChunkBinding& binding) {
  const auto latest = index_.latest(binding.object);
  if (!latest) return fail(latest.error());
  const bool concerns_latest = *latest && !(**latest)->is_tombstone() && !(**latest)->is_inline() &&
                               (**latest)->blob_id == binding.blob_id;
  return concerns_latest ? index_.mark_damaged(binding, now_ms_) : Status();
}

Status Adopter::mark_without_files() {
  std::optional<ObjectId> seen;
  const auto visited = index_.salvage([&](const SignedManifest& manifest) -> Status {
    const bool stands = std::exchange(seen, manifest->object) != manifest->object;
    if (!stands || manifest->is_tombstone() || manifest->is_inline()) return {};
    if (blobs_.holds(manifest->binding())) return {};
    return index_.mark_damaged(manifest->binding(), now_ms_);
  });
  if (!visited) return fail(visited.error());
  return {};
}

/// What is left of the old index. Where it cannot be read for now, the next start tries again.
Status adopt_from_index(const fs::path& old, const fs::path& scratch, Adopter& adopter) {
  std::error_code error;
  if (!fs::exists(old, error))
    return error ? os_failure("look at " + old.string(), error) : Status();
  const auto marked = salvage_index(
      old, scratch, [&](const SignedManifest& manifest, std::optional<Payload> sealed) {
        return adopter.adopt(manifest, std::move(sealed));
      });
  if (!marked) {
    return fail("the old index, put aside as " + old.string() +
                    ", cannot be read now; start again, or move it away to do without",
                Error(marked.error()));
  }
  auto adopted = adopter.flush();
  for (auto at = marked->begin(); adopted && at != marked->end(); ++at)
    adopted = adopter.mark(*at);
  return adopted;
}

Status adopt_from_files(const fs::path& blobs, Adopter& adopter) {
  std::error_code error;
  for (auto it = fs::recursive_directory_iterator(blobs, error);
       !error && it != fs::recursive_directory_iterator(); it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    const auto content = inspect_blob_file(it->path());
    if (!content && content.error().code == Errc::io) return fail(content.error());
    const bool own = content && content->binding.object == content->manifest->object &&
                     content->binding.blob_id == content->manifest->blob_id &&
                     it->path().filename() == content->binding.object.hashed_key.hex() + "." +
                                                  content->binding.blob_id.hex();
    if (!own) continue;  // what it was is not known any more
    if (auto adopted = adopter.adopt(content->manifest, std::nullopt); !adopted) return adopted;
  }
  if (error) return os_failure("look through " + blobs.string(), error);
  return {};
}

/// A folder put aside already means that what is in its place is half made.
Status put_index_aside(const fs::path& folder, const fs::path& aside) {
  const auto index = folder / "index";
  std::error_code error;
  const bool is_aside = fs::exists(aside, error);
  if (error) return os_failure("look at " + aside.string(), error);
  if (is_aside) {
    fs::remove_all(index, error);
    if (error) return os_failure("remove " + index.string(), error);
  } else if (!is_missing(index)) {
    fs::rename(index, aside, error);
    if (error) return os_failure("rename " + index.string(), error);
  }
  return sync_folder(folder);
}

/// A new index with what the old one still tells.
Result<std::unique_ptr<Index>> rebuild_index(const StoreOptions& options, std::uint64_t now_ms) {
  const auto& folder = options.folder;
  const auto aside = aside_path(folder);
  if (!aside) return fail(aside.error());
  if (auto moved = put_index_aside(folder, *aside); !moved) return fail(std::move(moved.error()));
  auto index = Index::open(folder / "index", Index::Mode::strict, options.index_cache_bytes);
  if (!index) return index;
  Adopter adopter(**index, folder, now_ms);
  auto adopted = adopt_from_index(*aside, folder / "index.salvage", adopter);
  if (!adopted) return fail(std::move(adopted.error()));
  return index;
}

Result<std::unique_ptr<Index>> open_index_as(const StoreOptions& options, Index::Mode mode) {
  return Index::open(options.folder / "index", mode, options.index_cache_bytes);
}

/// As it is, but for a last write that was broken off.
Result<std::unique_ptr<Index>> open_whole(const StoreOptions& options) {
  auto index = open_index_as(options, Index::Mode::strict);
  const bool is_torn = !index && index.error().code == Errc::corrupt &&
                       is_last_record_torn(options.folder / "index");
  return is_torn ? open_index_as(options, Index::Mode::up_to_damage) : std::move(index);
}

/// Up to the damage in its log, or made anew. Opened once, it does not tell that it was cut short:
/// the note does, until all is done.
Result<std::unique_ptr<Index>> cut_index_short(const StoreOptions& options, std::uint64_t now_ms) {
  if (auto noted = note_index_lost(options.folder, now_ms); !noted) {
    return fail(std::move(noted.error()));
  }
  auto index = open_index_as(options, Index::Mode::up_to_damage);
  const bool is_damaged = !index && index.error().code == Errc::corrupt;
  return is_damaged ? rebuild_index(options, now_ms) : std::move(index);
}

}  // namespace

bool is_new_store(const fs::path& folder) {
  return is_missing(folder / "format") && is_missing(folder / "index") &&
         is_missing(folder / "blobs");
}

bool is_index_missing(const fs::path& folder) {
  return is_missing(folder / "index" / "CURRENT");
}

bool is_index_lost(const fs::path& folder) {
  return !is_missing(folder / note_name);
}

Status note_index_lost(const fs::path& folder, std::uint64_t now_ms) {
  if (is_index_lost(folder)) return {};
  const auto temporary = folder / "index.lost.new";
  std::error_code error;
  fs::remove(temporary, error);
  auto file = File::create(temporary);
  if (!file) return fail(std::move(file.error()));
  const auto name = std::string(aside_prefix) + std::to_string(now_ms);
  if (auto wrote = file->write_at(0, as_bytes(name)); !wrote) return wrote;
  if (auto synced = file->sync_data(); !synced) return synced;
  fs::rename(temporary, folder / note_name, error);
  if (error) return os_failure("rename " + temporary.string(), error);
  return sync_folder(folder);
}

Result<OpenedIndex> open_or_recover_index(const StoreOptions& options, std::uint64_t now_ms) {
  const auto& folder = options.folder;
  const bool is_lost = is_index_lost(folder);
  if (!is_lost) {
    auto index = open_whole(options);
    if (index) return OpenedIndex{.index = std::move(*index)};
    if (index.error().code != Errc::corrupt) return fail(std::move(index.error()));
  }
  const auto& on_lost = options.on_index_lost;
  if (auto told = on_lost ? on_lost() : Status(); !told) return fail(std::move(told.error()));
  auto index = is_lost ? rebuild_index(options, now_ms) : cut_index_short(options, now_ms);
  if (!index) return fail(std::move(index.error()));
  Adopter adopter(**index, folder, now_ms);
  auto adopted = adopt_from_files(folder / "blobs", adopter);
  if (adopted) adopted = adopter.flush();
  // An index made anew has marked them.
  if (adopted && !is_lost) adopted = adopter.mark_without_files();
  if (!adopted) return fail("recovery of the index", std::move(adopted.error()));
  return OpenedIndex{.index = std::move(*index), .recovered = true};
}

Status end_rebuild(const fs::path& folder) {
  if (!is_index_lost(folder)) return {};
  const auto aside = aside_path(folder);
  if (!aside) return fail(aside.error());
  std::error_code error;
  const bool is_aside = fs::exists(*aside, error);  // not if only its log was cut short
  for (auto it = fs::directory_iterator(folder, error); !error && it != fs::directory_iterator();
       it.increment(error)) {
    std::error_code ignored;
    const auto& path = it->path();
    const bool old = path.filename().string().starts_with(aside_prefix) && path != *aside;
    if (old && is_aside) fs::remove_all(path, ignored);
  }
  fs::remove(folder / note_name, error);
  if (error) return os_failure("remove " + (folder / note_name).string(), error);
  return sync_folder(folder);
}

}  // namespace zerodb
