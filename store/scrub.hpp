#pragma once
// The walk over all that a store keeps, in steps: latest versions against leaves, root and
// signature, then the blob files against the index. Damage is marked, files that nothing refers to
// go to the quarantine. Superseded versions are passed over: a sweep drops them soon.
// Thread-safe: any number of steps and checks at once.

#include "store/blob_check.hpp"
#include "store/damage_marks.hpp"
#include "store/quarantine.hpp"

namespace zerodb {

/// What a walk needs of its store; all of it outlives the walk.
struct ScrubParts {
  const Index& index;
  Blobs& blobs;
  Quarantine& quarantine;
  DamageMarks& marks;
  std::function<std::unique_lock<std::mutex>(const ObjectId&)> lock;  ///< keeps commits off it
  std::function<std::uint64_t()> now_ms;
  std::function<void()> on_index_damage;
};

class Scrub {
 public:
  explicit Scrub(ScrubParts parts) : parts_(std::move(parts)) {}

  /// See Store::scrub().
  Result<ScrubStep> step(const std::string& position, std::uint64_t bytes_max);
  /// See Store::check().
  Result<bool> check(const SignedManifest& manifest);

 private:
  /// How far one version was verified.
  struct Look {
    std::uint64_t bytes = 0;
    std::optional<std::uint64_t> next_chunk;  ///< where to go on, if not at its end
    std::optional<Error> damage;
    std::optional<std::uint64_t> bad_chunk;  ///< if the damage is in one
  };

  /// Where to go on among the versions.
  struct Place {
    std::string key;                   ///< in the index, or the beginning of one
    std::uint64_t chunk = 0;           ///< of the version that is there
    bool marked_whole_so_far = false;  ///< it is marked, and all chunks before were found whole
  };
  static std::string position_of(const Place& place);

  Result<ScrubStep> walk_versions(const Place& from, std::uint64_t bytes_max);
  ScrubStep pass_over(const std::string& key, const Error& error);
  Result<bool> note(const SignedManifest& manifest, Look& look, bool whole_before);
  Result<bool> confirm(const SignedManifest& manifest, const Look& look);
  Result<Look> look(const SignedManifest& manifest, std::uint64_t chunk, std::uint64_t bytes_max);
  Result<Look> look_inline(const SignedManifest& manifest);
  Result<Look> look_in_file(const Manifest& manifest, std::uint64_t chunk, std::uint64_t bytes_max);

  Result<ScrubStep> walk_files(const std::string& after);
  Status look_for_orphans(const std::filesystem::path& folder, ScrubStep& step);
  Result<bool> is_orphan(const std::filesystem::path& path,
                         const std::optional<ChunkBinding>& binding) const;
  Status put_aside(const std::filesystem::path& path, ScrubStep& step);

  const ScrubParts parts_;
};

}  // namespace zerodb
