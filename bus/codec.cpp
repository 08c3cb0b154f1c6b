#include "bus/codec.hpp"

#include <array>

#include "store/fields.hpp"
#include "store/manifest.hpp"

namespace zerodb::codec {

namespace {

using fields::Object;
using fields::Packer;

constexpr std::string_view error_name = "error";
constexpr std::size_t error_what_bytes_max = 1024;
constexpr std::size_t shown_name_bytes_max = 64;

constexpr std::array all_codes{Errc::not_found, Errc::corrupt, Errc::denied, Errc::timeout,
                               Errc::no_quorum, Errc::full,    Errc::busy,   Errc::io,
                               Errc::invalid,   Errc::conflict};

constexpr fields::Limits header_limits{
    .bytes = header_bytes_max, .binary = header_bytes_max, .items = header_items_max};
constexpr fields::Limits client_reply_limits{
    .bytes = header_bytes_max, .binary = header_bytes_max, .items = client_reply_items_max};

template <class Message>
constexpr const fields::Limits& limits_of() {
  return std::is_same_v<Message, Result<client::Reply>> ? client_reply_limits : header_limits;
}

// ------------------------------------------------------------------------------------ encoding

void pack_text(Packer& packer, std::string_view text) {
  packer.pack_str(static_cast<std::uint32_t>(text.size()));
  packer.pack_str_body(text.data(), static_cast<std::uint32_t>(text.size()));
}

/// Opens the header's map: the version, the name, and room for `more` entries.
void pack_opening(Packer& packer, std::string_view name, std::uint32_t more) {
  packer.pack_map(2 + more);
  pack_text(packer, "v");
  packer.pack(protocol_version);
  pack_text(packer, "t");
  pack_text(packer, name);
}

void pack_id(Packer& packer, std::uint64_t id) {
  pack_text(packer, "id");
  packer.pack(id);
}

template <class Variant>
Bytes encode_any(std::uint64_t id, const Variant& variant) {
  Bytes out;
  fields::Sink sink(out);
  Packer packer(sink);
  std::visit(
      [&](const auto& message) {
        pack_opening(packer, message.name, 1 + fields::count_fields(message));
        pack_id(packer, id);
        fields::pack_fields(packer, message);
      },
      variant);
  return out;
}

/// At most `bytes_max` bytes of `text`, never half a character.
std::string_view clipped(std::string_view text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  auto end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;
  return text.substr(0, end);
}

/// An error's words, sent or received. Headers carry UTF-8 only, but a path may be any bytes; and
/// the words go to terminals and logs as they are, and must not steer those.
std::string harmless(std::string_view text) {
  return std::string(clipped(without_controls(text), error_what_bytes_max));
}

// ------------------------------------------------------------------------------------ decoding

/// What every header begins with.
struct Opening {
  std::uint32_t v = 0;
  std::string t;
  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("v", self.v);
    field("t", self.t);
  }
};

struct WireError {
  std::string code;
  std::string what;
  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("code", self.code);
    field("what", self.what);
  }
};

struct OnWire {  // BroadcastHeader as it is packed
  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("from", self.from);
    field("time_ms", self.time_ms);
    field("sequence", self.sequence);
  }
};

std::optional<std::uint64_t> read_id(const Object& map) {
  std::uint64_t id = 0;
  const auto* found = map.type == msgpack::type::MAP ? fields::find(map, "id") : nullptr;
  if (found == nullptr || !fields::read(*found, id)) return {};
  return id;
}

/// The message's name, once the version is one we speak.
Result<std::string> read_name(const Object& map) {
  Opening opening;
  if (auto read = fields::read_fields(map, opening); !read) {
    return fail("header", std::move(read.error()));
  }
  if (opening.v != protocol_version) {
    return fail(Errc::invalid, "header: protocol version " + std::to_string(opening.v) +
                                   " is not spoken here, only version " +
                                   std::to_string(protocol_version));
  }
  return std::move(opening.t);
}

Status check_manifest_size(std::string_view field, const Bytes& manifest) {
  if (manifest.size() <= manifest_bytes_max) return {};
  return fail(Errc::invalid, "field '" + std::string(field) + "' has " +
                                 std::to_string(manifest.size()) + " bytes, at most " +
                                 std::to_string(manifest_bytes_max) + " are allowed");
}
Status check_manifest_size(std::string_view field, const std::optional<Bytes>& manifest) {
  return manifest ? check_manifest_size(field, *manifest) : Status{};
}

template <class Message>
Status check_limits(const Message& message) {
  if constexpr (requires { message.manifest; }) {
    return check_manifest_size("manifest", message.manifest);
  } else if constexpr (requires { message.standing; }) {
    return check_manifest_size("standing", message.standing);
  } else {
    return {};
  }
}

template <class Message, class Variant>
Result<Variant> read_one(const Object& map) {
  Message message;
  auto read = fields::read_fields(map, message);
  if (read) read = check_limits(message);
  if (!read) return fail(Message::name, std::move(read.error()));
  return Variant(std::move(message));
}

template <class Variant>
struct Alternatives;

template <class... Messages>
struct Alternatives<std::variant<Messages...>> {
  using Variant = std::variant<Messages...>;

  /// The message called `name`, from the fields in `map`.
  static Result<Variant> read(std::string_view name, const Object& map) {
    Result<Variant> result = fail(
        Errc::invalid, "'" + printable(clipped(name, shown_name_bytes_max)) + "' is unknown here");
    const bool found =
        ((Messages::name == name && (result = read_one<Messages, Variant>(map), true)) || ...);
    static_cast<void>(found);
    return result;
  }
};

/// Runs `read_message(name, map)` on a header whose opening is right.
template <class Message, class Read>
DecodeResult<Message> decode_header(ByteView header, Read read_message) {
  const auto parsed = fields::parse(header, limits_of<Message>());
  if (!parsed) return tl::unexpected(DecodeError{parsed.error(), 0});
  const Object& map = parsed->get();
  const auto id = read_id(map);
  auto name = read_name(map);
  if (!name) return tl::unexpected(DecodeError{std::move(name.error()), id.value_or(0)});
  if (!id) {
    return tl::unexpected(
        DecodeError{{Errc::invalid, "header: field 'id' is missing or no unsigned number"}, 0});
  }
  Result<Message> message = read_message(*name, map);
  if (!message) return tl::unexpected(DecodeError{std::move(message.error()), *id});
  return Decoded<Message>{*id, std::move(*message)};
}

template <class Request>
DecodeResult<Request> decode_request(ByteView header) {
  return decode_header<Request>(header, [](std::string_view name, const Object& map) {
    return Alternatives<Request>::read(name, map);
  });
}

Result<Error> read_error(const Object& map) {
  WireError wire;
  if (auto read = fields::read_fields(map, wire); !read) {
    return fail(error_name, std::move(read.error()));
  }
  Error error{Errc::invalid, harmless(wire.what)};
  for (const auto code : all_codes) {
    if (to_string(code) == wire.code) error.code = code;
  }
  return error;
}

template <class Reply>
DecodeResult<Result<Reply>> decode_reply(ByteView header) {
  return decode_header<Result<Reply>>(
      header, [](std::string_view name, const Object& map) -> Result<Result<Reply>> {
        if (name == error_name) {
          auto error = read_error(map);
          if (!error) return fail(std::move(error.error()));
          return Result<Result<Reply>>(tl::in_place, tl::unexpected(std::move(*error)));
        }
        auto reply = Alternatives<Reply>::read(name, map);
        if (!reply) return fail(std::move(reply.error()));
        return Result<Result<Reply>>(tl::in_place, std::move(*reply));
      });
}

}  // namespace

Bytes encode(std::uint64_t id, const peer::Request& request) {
  return encode_any(id, request);
}
Bytes encode(std::uint64_t id, const peer::Reply& reply) {
  return encode_any(id, reply);
}
Bytes encode(std::uint64_t id, const client::Request& request) {
  return encode_any(id, request);
}
Bytes encode(std::uint64_t id, const client::Reply& reply) {
  return encode_any(id, reply);
}

Bytes encode(std::uint64_t id, const Error& error) {
  const WireError wire{std::string(to_string(error.code)), harmless(error.what)};
  Bytes out;
  fields::Sink sink(out);
  Packer packer(sink);
  pack_opening(packer, error_name, 1 + fields::count_fields(wire));
  pack_id(packer, id);
  fields::pack_fields(packer, wire);
  return out;
}

Bytes encode(const BroadcastHeader& header, const broadcast::Message& message) {
  Bytes out;
  fields::Sink sink(out);
  Packer packer(sink);
  fields::FieldCounter counter;
  OnWire::visit(header, counter);
  fields::FieldPacker packed{packer};
  std::visit(
      [&](const auto& body) {
        pack_opening(packer, body.name, counter.count + fields::count_fields(body));
        OnWire::visit(header, packed);
        fields::pack_fields(packer, body);
      },
      message);
  return out;
}

std::size_t count_items(ByteView header) {
  const auto count = fields::count_items(header, header_items_max);
  return count > header_items_max ? 1 : count;  // such a one is not read
}

DecodeResult<peer::Request> decode_peer_request(ByteView header) {
  return decode_request<peer::Request>(header);
}

DecodeResult<client::Request> decode_client_request(ByteView header) {
  return decode_request<client::Request>(header);
}

DecodeResult<Result<peer::Reply>> decode_peer_reply(ByteView header) {
  return decode_reply<peer::Reply>(header);
}

DecodeResult<Result<client::Reply>> decode_client_reply(ByteView header) {
  return decode_reply<client::Reply>(header);
}

Result<std::pair<BroadcastHeader, broadcast::Message>> decode_broadcast(ByteView header) {
  const auto parsed = fields::parse(header, header_limits);
  if (!parsed) return fail(parsed.error());
  const Object& map = parsed->get();
  auto name = read_name(map);
  if (!name) return fail(std::move(name.error()));
  BroadcastHeader about;
  fields::FieldReader reader{map, {}};
  OnWire::visit(about, reader);
  if (!reader.problem.empty()) return fail(Errc::invalid, "header: " + reader.problem);
  auto message = Alternatives<broadcast::Message>::read(*name, map);
  if (!message) return fail(std::move(message.error()));
  return std::pair(about, std::move(*message));
}

Bytes encode(const client::Published& event) {
  Bytes out;
  fields::Sink sink(out);
  Packer packer(sink);
  pack_opening(packer, event.name, fields::count_fields(event));
  fields::pack_fields(packer, event);
  return out;
}

Result<client::Published> decode_published(ByteView header) {
  const auto parsed = fields::parse(header, header_limits);
  if (!parsed) return fail(parsed.error());
  auto name = read_name(parsed->get());
  if (!name) return fail(std::move(name.error()));
  auto message = Alternatives<std::variant<client::Published>>::read(*name, parsed->get());
  if (!message) return fail(std::move(message.error()));
  return std::get<client::Published>(std::move(*message));
}

}  // namespace zerodb::codec
