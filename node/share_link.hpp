#pragma once
// What `zdb share` prints and `zdb get` takes: one line of text with which another owner of the
// mesh can read one version of one object. It holds that version's content key, so it is as secret
// as the content; DESIGN.md says what it reveals and what cannot be taken back. Values;
// thread-safe.

#include "store/manifest.hpp"

namespace zerodb {

struct ShareLink {
  ObjectId object;
  ManifestHash version;          ///< this one and no other
  std::uint64_t expires_ms = 0;  ///< UTC
  PrivatePart part;              ///< name, media type, mtime and content key; no attributes
};

/// Whether a text is meant to be a link.
bool is_share_link(std::string_view text);

/// Signed by the owner, so that nobody else can change anything in it, its end in particular.
std::string share_link_text(const ShareLink& link, const OwnerKeys& keys);

/// `invalid`, saying whether the text is no link at all, or one that was cut or altered. White
/// space around it, and line breaks within, do not matter.
Result<ShareLink> parse_share_link(std::string_view text);

/// `denied` once the link has expired.
Status check_not_expired(const ShareLink& link, std::uint64_t now_ms);

}  // namespace zerodb
