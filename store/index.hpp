#pragma once
// The index of one store, in RocksDB: signed manifests by object and version, inline values beside
// them, and which versions were superseded when. Thread-safe; whoever checks before writing keeps
// others off the object meanwhile. Layout: FORMAT.md.

#include <functional>
#include <span>

#include "store/index_key.hpp"

namespace zerodb {

class Index {
 public:
  enum class Mode {
    strict,        ///< a log that ends in damage is refused
    up_to_damage,  ///< what the log holds from its damage on is forgotten
    salvage,       ///< whatever is lost or damaged is passed over, and nothing is written
  };
  /// Opens or creates. `cache_bytes` of what was read are kept in memory. `busy` when another
  /// process has it open, `corrupt` when it is damaged or parts are missing.
  static Result<std::unique_ptr<Index>> open(const std::filesystem::path& folder,
                                             Mode mode = Mode::strict,
                                             std::uint64_t cache_bytes = 64ULL << 20);
  /// Makes the list of the index's files anew, from its tables and logs. What cannot be read as a
  /// whole is moved to lost/ within `folder`, and so is the old list. Values that do not lie in
  /// tables are not found any more.
  static Status repair(const std::filesystem::path& folder);
  ~Index();
  Index(const Index&) = delete;
  Index& operator=(const Index&) = delete;

  // Whatever reads is `corrupt` if that is damaged, missing, or the disk cannot read it.

  Result<std::optional<SignedManifest>> latest(const ObjectId& object) const;
  /// The latest version with this blob.
  Result<std::optional<SignedManifest>> find(const ObjectId& object, const BlobId& blob_id) const;

  struct Addition {
    const SignedManifest& manifest;
    std::optional<ByteView> inline_value;  ///< the sealed chunk, for an inline object
    std::optional<Entry> superseded;       ///< the version it takes the place of
    std::uint64_t superseded_ms = 0;
    std::optional<ChunkBinding> unmark;       ///< is whole now, or stands no more
    std::optional<std::uint64_t> damaged_ms;  ///< when its bytes were found damaged or missing
  };
  /// One batch, durable on return.
  Status add(std::span<const Addition> additions);
  Status add(const Addition& addition) { return add(std::span(&addition, 1)); }

  /// `not_found` if there is none.
  Result<Payload> inline_value(const ChunkBinding& binding) const;

  Result<EntryPage> entries(const EntryQuery& query) const;
  /// Adds all that is kept to `tally`.
  Status sum_up(Tally& tally) const;

  /// A latest version and its key.
  struct Latest {
    std::string key;
    SignedManifest manifest;
  };
  /// Latest versions of objects from `from` (a key, or the beginning of one) on; none at the end.
  /// `corrupt` if the first one cannot be read; what follows damage is left for the next call.
  Result<std::vector<Latest>> latest_from(const std::string& from, std::size_t limit) const;

  /// Every version that can still be read, an object's latest first; a damaged part is passed over
  /// up to the next partition. True if there was none. What the disk cannot read is damaged;
  /// another error of it, or one of `visit`, ends it.
  Result<bool> salvage(const std::function<Status(const SignedManifest&)>& visit) const;

  // Marks of blobs whose bytes are damaged or missing.
  Status mark_damaged(const ChunkBinding& binding, std::uint64_t ms);
  Status unmark(const std::vector<ChunkBinding>& bindings);
  Result<std::vector<ChunkBinding>> marked() const;

  /// A superseded version, and the line that says so.
  struct Superseded {
    std::string line;
    std::string key;
    Entry entry;
  };
  /// Oldest first, strictly after the line `after`. `corrupt` if the first one cannot be read.
  Result<std::vector<Superseded>> superseded_before(std::uint64_t ms, std::size_t limit,
                                                    const std::string& after = {}) const;

  /// A kept version, latest first in lists.
  struct Holder {
    std::string key;
    index_key::ValueHead head;
  };
  Result<std::vector<Holder>> versions(const ObjectId& object) const;

  struct Removal {
    std::string line;                          ///< empty: none
    std::string key;                           ///< empty: only the line goes
    std::optional<ChunkBinding> inline_value;  ///< goes too
    std::optional<ChunkBinding> unmark;        ///< was marked
  };
  /// One batch, durable on return.
  Status remove(const std::vector<Removal>& removals);

  /// Gives the disk space of removed inline values back. Takes long; others go on meanwhile.
  Status reclaim();
  /// Ends it soon, with an error, now and from now on. From any thread.
  void stop_reclaiming();

 private:
  struct Impl;
  explicit Index(std::unique_ptr<Impl> impl);
  static Status add_empty_tables(const std::filesystem::path& folder);

  std::unique_ptr<Impl> impl_;
};

}  // namespace zerodb
