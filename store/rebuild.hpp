#pragma once
// An index that was lost or damaged, made anew from what is left: the versions of the old index
// that can still be read, and the manifests in blob files, each under its owner's signature.
// Blocking; before the store is used.

#include "store/index.hpp"
#include "store/store.hpp"

namespace zerodb {

/// Whether nothing was ever kept in `folder`.
bool is_new_store(const std::filesystem::path& folder);
bool is_index_missing(const std::filesystem::path& folder);

/// Notes durably that the index is of no use: from now on is_index_lost().
Status note_index_lost(const std::filesystem::path& folder, std::uint64_t now_ms);
bool is_index_lost(const std::filesystem::path& folder);

struct OpenedIndex {
  std::unique_ptr<Index> index;
  bool recovered = false;  ///< something of it was lost: made anew, or its log cut short
};
/// Opens the index as it is, without a last write that was broken off; or cut short where its log
/// is damaged; or, if that cannot be or it is_index_lost(), puts it aside as index.damaged-<ms> and
/// makes a new one. Before anything is lost `on_index_lost` is called, and the loss is noted; only
/// end_rebuild() takes the note away. Broken off before that, a new index is made at the next
/// start. `corrupt`: only a new one helps.
Result<OpenedIndex> open_or_recover_index(const StoreOptions& options, std::uint64_t now_ms);

/// The new index is whole: the note goes, and all old indexes but the last one put aside.
Status end_rebuild(const std::filesystem::path& folder);

}  // namespace zerodb
