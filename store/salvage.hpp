#pragma once
// What can still be read of an index that is damaged, or of which files are lost. Blocking.

#include "store/index.hpp"

namespace zerodb {

/// A version, whose signature was not verified, and the sealed chunk of an inline object, if it can
/// be read and gives the manifest's root.
using SalvageVisit = std::function<Status(const SignedManifest&, std::optional<Payload> sealed)>;

/// Visits every version that can be read of the index in `folder`, which is left as it is. One may
/// come again, with its chunk if that was not found before. Answers what is marked as damaged.
/// What is damaged or lost is passed over; an error of `visit`, or a disk that refuses, is
/// answered. `scratch` is a folder beside it to work in, which is emptied and removed.
Result<std::vector<ChunkBinding>> salvage_index(const std::filesystem::path& folder,
                                                const std::filesystem::path& scratch,
                                                const SalvageVisit& visit);

}  // namespace zerodb
