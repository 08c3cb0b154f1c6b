#include "store/manifest.hpp"

#include <cassert>

#include "store/fields.hpp"

namespace zerodb {
namespace {

constexpr std::uint32_t manifest_format_known = 1;
constexpr std::string_view signature_domain = "zerodb manifest v1";
constexpr std::uint32_t replicas_max = 16;
constexpr std::uint64_t size_max = 1ULL << 50;
constexpr std::size_t media_type_bytes_max = 255;
constexpr std::size_t attributes_count_max = 64;
constexpr std::size_t private_padding_bytes = 64;

constexpr fields::Limits body_limits{.bytes = manifest_bytes_max,
                                     .array = 64,
                                     .map = 64,
                                     .string = 1024,
                                     .binary = manifest_bytes_max,
                                     .depth = 4};
constexpr fields::Limits private_limits{.bytes = manifest_bytes_max,
                                        .array = 64,
                                        .map = attributes_count_max,
                                        .string = attributes_bytes_max,
                                        .binary = 1024,
                                        .depth = 3};

// ------------------------------------------------------------------------------- private part

/// The private part but for the content key, which never passes through msgpack's own memory.
struct Described {
  std::string name;
  std::string media_type;
  std::optional<std::int64_t> mtime_ms;
  std::map<std::string, std::string> attributes;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("name", self.name);
    field("media_type", self.media_type);
    field("mtime_ms", self.mtime_ms);
    field("attributes", self.attributes);
  }
};

/// Owner, hashed key and blob id.
Bytes private_associated(const Manifest& about) {
  Bytes associated;
  for (const auto part :
       {about.object.owner.view(), about.object.hashed_key.view(), about.blob_id.view()}) {
    associated.insert(associated.end(), part.begin(), part.end());
  }
  return associated;
}

/// content key ‖ length of the map, 2 bytes ‖ map ‖ zeros up to a multiple of the padding, so that
/// the sealed length tells little of the name's.
Bytes private_plain(const PrivatePart& part) {
  const auto map = fields::encode(Described{.name = part.name,
                                            .media_type = part.media_type,
                                            .mtime_ms = part.mtime_ms,
                                            .attributes = part.attributes});
  const auto used = ContentKey::size + 2 + map.size();
  Bytes plain((used + private_padding_bytes - 1) / private_padding_bytes * private_padding_bytes);
  const auto key = part.content_key.view();
  std::copy(key.begin(), key.end(), plain.begin());
  put_u16(MutableBytes(plain).subspan(ContentKey::size), static_cast<std::uint16_t>(map.size()));
  std::copy(map.begin(), map.end(), plain.begin() + ContentKey::size + 2);
  return plain;
}

Result<PrivatePart> parse_private_plain(ByteView plain) {
  if (plain.size() < ContentKey::size + 2) return fail(Errc::corrupt, "private part: cut short");
  const auto rest = plain.subspan(ContentKey::size + 2);
  const std::size_t length = get_u16(plain.subspan(ContentKey::size));
  if (length > rest.size()) return fail(Errc::corrupt, "private part: cut short");
  auto described = fields::decode<Described>(rest.first(length), private_limits);
  if (!described) return fail(Errc::corrupt, "private part: " + described.error().what);
  return PrivatePart{.name = std::move(described->name),
                     .media_type = std::move(described->media_type),
                     .mtime_ms = described->mtime_ms,
                     .attributes = std::move(described->attributes),
                     .content_key = *ContentKey::from(plain.first(ContentKey::size))};
}

// --------------------------------------------------------------------------------------- body

struct BodyLayout {
  std::uint32_t replicas = 0;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("replicas", self.replicas);
  }
};

/// The signed fields in the order in which they are written.
template <class AnyManifest>
struct Body {
  AnyManifest& manifest;
  std::uint8_t kind = 0;
  BodyLayout layout;

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    auto& manifest = self.manifest;
    field("format", manifest.format);
    field("owner", manifest.object.owner);
    field("hashed_key", manifest.object.hashed_key);
    field("version", manifest.version.value);
    field("kind", self.kind);
    field("blob_id", manifest.blob_id);
    field("size", manifest.size);
    field("chunk_bytes", manifest.chunk_bytes);
    field("chunk_count", manifest.chunk_count);
    field("root", manifest.root);
    field("layout", self.layout);
    field("key_commitment", manifest.key_commitment);
    field("sealed", manifest.sealed);
  }
};

Bytes encode_body(const Manifest& manifest) {
  return fields::encode(Body<const Manifest>{.manifest = manifest,
                                             .kind = static_cast<std::uint8_t>(manifest.kind),
                                             .layout = {.replicas = manifest.layout.replicas}});
}

/// The format is read first: what a newer one means by the other fields is not ours to guess.
Status check_format(const fields::Object& map) {
  std::uint32_t format = 0;
  const auto* found = map.type == msgpack::type::MAP ? fields::find(map, "format") : nullptr;
  if (found == nullptr || !fields::read(*found, format) || format == 0) {
    return fail(Errc::invalid, "it names no format");
  }
  if (format <= manifest_format_known) return {};
  return fail(Errc::invalid,
              "format " + std::to_string(format) + " is newer than this program knows (" +
                  std::to_string(manifest_format_known) + "): install a newer zerodb");
}

Result<Manifest> decode_body(ByteView bytes) {
  auto parsed = fields::parse(bytes, body_limits);
  if (!parsed) return fail(std::move(parsed.error()));
  if (auto known = check_format(parsed->get()); !known) return fail(std::move(known.error()));
  Manifest manifest;
  Body<Manifest> body{.manifest = manifest, .kind = 0};
  if (auto read = fields::read_fields(parsed->get(), body); !read) {
    return fail(std::move(read.error()));
  }
  if (body.kind > static_cast<std::uint8_t>(ObjectKind::tombstone)) {
    return fail(Errc::invalid, "kind " + std::to_string(body.kind) + " is unknown");
  }
  manifest.kind = static_cast<ObjectKind>(body.kind);
  manifest.layout.replicas = body.layout.replicas;
  return manifest;
}

Status check_content(const Manifest& manifest) {
  if (manifest.is_tombstone()) {
    const bool empty = manifest.size == 0 && manifest.chunk_count == 0 && manifest.root.is_zero() &&
                       manifest.key_commitment.is_zero();
    return empty ? Status{} : fail(Errc::invalid, "a tombstone with content");
  }
  if (manifest.size > size_max) {
    return fail(Errc::invalid, "size " + std::to_string(manifest.size) + " is over the limit");
  }
  if (manifest.chunk_count != chunk_count_of(manifest.size, manifest.chunk_bytes)) {
    return fail(Errc::invalid, std::to_string(manifest.chunk_count) + " chunks do not make " +
                                   std::to_string(manifest.size) + " bytes");
  }
  return {};
}

Status check_ranges(const Manifest& manifest) {
  if (manifest.version.value == 0) return fail(Errc::invalid, "version 0");
  if (manifest.chunk_bytes != chunk_bytes_max) {
    return fail(Errc::invalid, "chunks of " + std::to_string(manifest.chunk_bytes) +
                                   " bytes, where format 1 has " + std::to_string(chunk_bytes_max));
  }
  if (manifest.layout.replicas == 0 || manifest.layout.replicas > replicas_max) {
    return fail(Errc::invalid, std::to_string(manifest.layout.replicas) + " replicas, not 1 to " +
                                   std::to_string(replicas_max));
  }
  return check_content(manifest);
}

Bytes signed_message(ByteView body) {
  Bytes message = to_bytes(as_bytes(signature_domain));
  message.insert(message.end(), body.begin(), body.end());
  return message;
}

ByteView body_of(ByteView wire) {
  return wire.first(wire.size() - Signature::size);
}

}  // namespace

Status check_private_part(const PrivatePart& part) {
  if (auto named = check_name(part.name); !named) return named;
  if (part.media_type.size() > media_type_bytes_max || !is_utf8(part.media_type)) {
    return fail(Errc::invalid, "media type: at most " + std::to_string(media_type_bytes_max) +
                                   " bytes of UTF-8 are allowed");
  }
  std::size_t bytes = 0;
  for (const auto& [key, value] : part.attributes) {
    bytes += key.size() + value.size();
    if (!is_utf8(key) || !is_utf8(value)) return fail(Errc::invalid, "attributes must be UTF-8");
  }
  if (part.attributes.size() > attributes_count_max || bytes > attributes_bytes_max) {
    return fail(Errc::invalid, "attributes: at most " + std::to_string(attributes_count_max) +
                                   " with " + std::to_string(attributes_bytes_max) +
                                   " bytes in all are allowed");
  }
  return {};
}

bool commitment_holds(const Manifest& manifest, const ContentKey& key) {
  if (manifest.is_tombstone()) return manifest.key_commitment.is_zero();
  return commit_to(key, manifest.blob_id) == manifest.key_commitment;
}

Bytes seal_private_part(const OwnerKeys& keys, const Manifest& about, const PrivatePart& part) {
  assert(check_private_part(part));
  auto plain = private_plain(part);
  auto sealed = seal_small(keys.wrap_key(), private_associated(about), plain);
  wipe(plain);
  return sealed;
}

Result<PrivatePart> open_private_part(const OwnerKeys& keys, const Manifest& manifest) {
  if (manifest.object.owner != keys.id()) {
    return fail(Errc::denied, "manifest belongs to owner " + manifest.object.owner.short_hex() +
                                  ", not to " + keys.id().short_hex());
  }
  auto plain = open_small(keys.wrap_key(), private_associated(manifest), manifest.sealed);
  if (!plain) return fail("private part", std::move(plain.error()));
  auto part = parse_private_plain(*plain);
  wipe(*plain);
  if (part && !commitment_holds(manifest, part->content_key)) {
    return fail(Errc::corrupt, "private part: the content key is not the one committed to");
  }
  return part;
}

SignedManifest SignedManifest::sign(const Manifest& manifest, const OwnerKeys& keys) {
  assert(manifest.object.owner == keys.id());
  SignedManifest made;
  made.manifest_ = manifest;
  made.wire_ = encode_body(manifest);
  made.hash_ = hash_to<ManifestHash>("zerodb manifest", {made.wire_});
  const auto signature = keys.sign(signed_message(made.wire_));
  made.wire_.insert(made.wire_.end(), signature.view().begin(), signature.view().end());
  return made;
}

Result<SignedManifest> SignedManifest::trusted(ByteView wire) {
  if (wire.size() <= Signature::size || wire.size() > manifest_bytes_max) {
    return fail(Errc::invalid,
                "manifest: " + std::to_string(wire.size()) + " bytes cannot be right");
  }
  auto manifest = decode_body(body_of(wire));
  if (!manifest) return fail("manifest", std::move(manifest.error()));
  if (auto ranges = check_ranges(*manifest); !ranges) {
    return fail("manifest", std::move(ranges.error()));
  }
  SignedManifest read;
  read.manifest_ = std::move(*manifest);
  read.hash_ = hash_to<ManifestHash>("zerodb manifest", {body_of(wire)});
  read.wire_ = to_bytes(wire);
  return read;
}

Result<SignedManifest> SignedManifest::verify(ByteView wire) {
  auto read = trusted(wire);
  if (!read) return read;
  const auto signature = *Signature::from(wire.last(Signature::size));
  const auto& owner = read->manifest().object.owner;
  if (!zerodb::verify(owner.view(), signed_message(body_of(wire)), signature)) {
    return fail(Errc::corrupt, "manifest: not signed by its owner " + owner.short_hex());
  }
  return read;
}

bool SignedManifest::is_later_than(const SignedManifest& other) const {
  return std::tie(manifest_.version, hash_) > std::tie(other.manifest_.version, other.hash_);
}

}  // namespace zerodb
