#pragma once
// The names of one owner's objects, as one of its gateways keeps them: in byte order, with what a
// listing shows, and the latest version known of every object, deletions included; and the log of
// how they changed. Names can be found again in the mesh, so that they may be lost at any time, and
// do not wait for a disk to sync; nobody is told of an event that is not synced. A log that is lost
// is begun again under another epoch. All calls block; all are thread-safe; callers run them off
// the network thread.

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "store/event_log.hpp"
#include "store/keys.hpp"
#include "store/manifest.hpp"

namespace zerodb {

struct ListQuery {
  std::string prefix;
  std::string after;  ///< strictly after this name, in byte order
  std::size_t limit = 1000;
};

struct NamePage {
  std::vector<NameEntry> entries;
  bool more = false;
};

/// Which version of an object is the latest known.
struct KnownVersion {
  Version version;
  ManifestHash hash;
  auto operator<=>(const KnownVersion&) const = default;
};

/// An object that was learnt of.
struct KnownObject {
  HashedKey hashed_key;
  KnownVersion latest;
  bool deleted = false;  ///< by that version
  auto operator<=>(const KnownObject&) const = default;
};

/// What the owner can read from a manifest for a listing.
struct NameRecord {
  HashedKey hashed_key;
  ManifestHash hash;
  bool deleted = false;
  NameEntry entry;

  KnownVersion known() const { return {.version = entry.version, .hash = hash}; }
  KnownObject object() const {
    return {.hashed_key = hashed_key, .latest = known(), .deleted = deleted};
  }
};

/// Small values beside the names, by key; nothing drops one.
using NameNotes = std::map<std::string, std::optional<Bytes>>;

struct NameWrite {
  std::uint64_t now_ms = 0;  ///< UTC
  bool durable = false;      ///< synced when it returns, with all that was written before
  EventBounds bounds;
};

class NameStore {
 public:
  virtual ~NameStore() = default;

  /// The latest version known of each object, in the order asked; nothing of one never learnt.
  virtual Result<std::vector<std::optional<KnownVersion>>> known(
      std::span<const HashedKey> objects) = 0;

  /// All objects of a partition, in the order of hashed keys.
  virtual Result<std::vector<KnownObject>> known_in(Partition partition) = 0;

  /// The names that begin with `prefix` and come after `after`, in byte order. Clipped, so that a
  /// page fits a message; `more` says whether others follow.
  virtual Result<NamePage> page(const ListQuery& query) = 0;

  /// Learns each record that is later than what is known of its object, and sets the notes. Each
  /// version that is later becomes an event, in the order of versions, and the log is kept within
  /// its bounds. All or nothing after a crash, and nothing without what was written before it.
  virtual Status write(std::span<const NameRecord> records, const NameNotes& notes,
                       const NameWrite& how = {}) = 0;

  /// Events from `from` on whose names begin with `prefix`. What it tells of, the log's end
  /// included, is durable.
  virtual Result<EventPage> events(const EventQuery& query) = 0;

  virtual Result<NameNotes> notes() = 0;

  /// Forgets everything, damage included: the store is usable and empty afterwards, and its log
  /// has another epoch.
  virtual Status clear() = 0;
};

/// Opens or creates an encrypted store in `folder`, which is all its own: one of another key or
/// format, or a damaged one, is emptied. `busy` when it is open elsewhere. `io` or `full` when the
/// disk, or the want of descriptors or memory, keeps it from being opened now: nothing is emptied.
Result<std::unique_ptr<NameStore>> open_name_store(const std::filesystem::path& folder,
                                                   const Secret<32>& key);

/// One that is forgotten with the process.
std::unique_ptr<NameStore> make_memory_name_store();

/// What bounds a page, whoever makes it.
class PageBuilder {
 public:
  explicit PageBuilder(std::size_t limit);
  /// False if the page is full: `more` is set, and the entry was not taken.
  bool add(NameEntry entry);
  NamePage finish() { return std::move(page_); }

 private:
  std::size_t limit_;
  std::size_t bytes_ = 0;
  NamePage page_;
};

/// Those that are later than `known` says of their objects (in the order of `records`, the same
/// version once), in the order of versions.
std::vector<const NameRecord*> later_than(std::span<const NameRecord> records,
                                          std::span<const std::optional<KnownVersion>> known);

/// Where a page of `query` begins: the first name that is not before it.
std::string first_name_of(const ListQuery& query);

}  // namespace zerodb
