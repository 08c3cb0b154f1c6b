#include "node/share_link.hpp"

#include "node/text_line.hpp"
#include "store/fields.hpp"

namespace zerodb {

namespace {

constexpr std::string_view link_prefix = "zdbshare1-";
constexpr std::string_view link_domain = "zerodb share v1";
constexpr std::size_t link_text_max = 8192;

/// What the text encodes, before the signature. The key passes through plain memory and is wiped.
struct LinkBody {
  OwnerId owner;
  HashedKey hashed_key;
  ManifestHash version;
  std::uint64_t expires_ms = 0;
  std::string object_name;
  std::string media_type;
  std::optional<std::int64_t> mtime_ms;
  Bytes content_key;

  ~LinkBody() { wipe(content_key); }

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("owner", self.owner);
    field("hashed_key", self.hashed_key);
    field("version", self.version);
    field("expires_ms", self.expires_ms);
    field("object_name", self.object_name);
    field("media_type", self.media_type);
    field("mtime_ms", self.mtime_ms);
    field("content_key", self.content_key);
  }
};

Bytes signed_link(ByteView body) {
  Bytes message = to_bytes(as_bytes(link_domain));
  message.insert(message.end(), body.begin(), body.end());
  return message;
}

auto damaged_link() {
  return fail(Errc::invalid,
              "the link is cut or altered: copy the whole line that zdb share printed");
}

Result<ShareLink> link_of(ByteView bytes) {
  if (bytes.size() <= Signature::size) return damaged_link();
  const auto signed_bytes = bytes.first(bytes.size() - Signature::size);
  auto body = fields::decode<LinkBody>(signed_bytes);
  if (!body) return damaged_link();
  const auto signature = *Signature::from(bytes.last(Signature::size));
  if (!verify(body->owner.view(), signed_link(signed_bytes), signature)) return damaged_link();
  auto key = ContentKey::from(body->content_key);
  if (!key) return damaged_link();
  return ShareLink{.object = {.owner = body->owner, .hashed_key = body->hashed_key},
                   .version = body->version,
                   .expires_ms = body->expires_ms,
                   .part = {.name = std::move(body->object_name),
                            .media_type = std::move(body->media_type),
                            .mtime_ms = body->mtime_ms,
                            .content_key = std::move(*key)}};
}

}  // namespace

bool is_share_link(std::string_view text) {
  return text.starts_with(link_prefix);
}

std::string share_link_text(const ShareLink& link, const OwnerKeys& keys) {
  const LinkBody body{.owner = link.object.owner,
                      .hashed_key = link.object.hashed_key,
                      .version = link.version,
                      .expires_ms = link.expires_ms,
                      .object_name = link.part.name,
                      .media_type = link.part.media_type,
                      .mtime_ms = link.part.mtime_ms,
                      .content_key = to_bytes(link.part.content_key.view())};
  auto bytes = fields::encode(body);
  const auto signature = keys.sign(signed_link(bytes));
  bytes.insert(bytes.end(), signature.view().begin(), signature.view().end());
  auto text = std::string(link_prefix) + to_base64url(bytes);
  wipe(bytes);
  return text;
}

Result<ShareLink> parse_share_link(std::string_view text) {
  const auto line = without_spaces(text.substr(0, link_text_max));
  if (!is_share_link(line)) {
    return fail(Errc::invalid, "that is not a link: a link begins with '" +
                                   std::string(link_prefix) + "' and is printed by zdb share");
  }
  auto bytes = from_base64url(std::string_view(line).substr(link_prefix.size()));
  if (!bytes) return damaged_link();
  auto link = link_of(*bytes);
  wipe(*bytes);
  if (!link) return link;
  if (auto valid = check_private_part(link->part); !valid) return damaged_link();
  return link;
}

Status check_not_expired(const ShareLink& link, std::uint64_t now_ms) {
  if (now_ms < link.expires_ms) return {};
  return fail(Errc::denied, "the link expired at " + to_string(Version::at(link.expires_ms)) +
                                " (this machine's clock says " + to_string(Version::at(now_ms)) +
                                "): ask its owner for a new one, made with: zdb share");
}

}  // namespace zerodb
