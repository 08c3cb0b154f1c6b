// Headers against golden bytes, must-fail bytes and themselves.
#include "bus/codec.hpp"

#include <catch2/catch.hpp>
#include <fstream>
#include <set>
#include <sstream>

#include "store/manifest.hpp"

using namespace zerodb;

namespace {

struct Golden {
  std::string kind;
  std::string name;
  Bytes header;
};

std::vector<Golden> golden_headers() {
  std::vector<Golden> all;
  std::ifstream file("tests/vectors/headers.txt");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    Golden one;
    std::string hex;
    std::istringstream(line) >> one.kind >> one.name >> hex;
    one.header = from_hex(hex).value();
    all.push_back(std::move(one));
  }
  return all;
}

template <class Decoded>
Bytes encoded_again(const Decoded& decoded) {
  REQUIRE(decoded.has_value());
  return codec::encode(decoded->id, decoded->message);
}

template <class Decoded>
Bytes reply_encoded_again(const Decoded& decoded) {
  REQUIRE(decoded.has_value());
  if (decoded->message) return codec::encode(decoded->id, *decoded->message);
  return codec::encode(decoded->id, decoded->message.error());
}

const Error& error_in(const codec::DecodeError& refused) {
  return refused.error;
}
const Error& error_in(const Error& error) {
  return error;
}

template <class Decoded>
bool is_read_or_invalid(const Decoded& decoded) {
  return decoded || error_in(decoded.error()).code == Errc::invalid;
}

Bytes decoded_and_encoded(const Golden& golden) {
  const auto& header = golden.header;
  if (golden.kind == "client_request") return encoded_again(codec::decode_client_request(header));
  if (golden.kind == "peer_request") return encoded_again(codec::decode_peer_request(header));
  if (golden.kind == "client_reply") return reply_encoded_again(codec::decode_client_reply(header));
  if (golden.kind == "client_error") return reply_encoded_again(codec::decode_client_reply(header));
  if (golden.kind == "peer_reply") return reply_encoded_again(codec::decode_peer_reply(header));
  if (golden.kind == "client_event") return codec::encode(codec::decode_published(header).value());
  REQUIRE(golden.kind == "broadcast");
  const auto decoded = codec::decode_broadcast(header);
  REQUIRE(decoded);
  return codec::encode(decoded->first, decoded->second);
}

/// Every alternative of a variant, default-made.
template <class... Messages>
std::vector<std::variant<Messages...>> each_of(const std::variant<Messages...>&) {
  return {std::variant<Messages...>(Messages{})...};
}

/// The names of the alternatives of `Variant` that no golden header of `kind` is of.
template <class Variant, class Decode>
std::vector<std::string> without_golden(std::string_view kind, Decode decode) {
  std::vector<std::string> missing;
  for (const auto& message : each_of(Variant())) {
    const auto is_of_it = [&](const Golden& golden) {
      return golden.kind == kind && decode(golden.header) == message.index();
    };
    if (std::ranges::none_of(golden_headers(), is_of_it)) {
      missing.push_back(std::visit([](const auto& one) { return std::string(one.name); }, message));
    }
  }
  return missing;
}

bool is_error(const Error& error, std::string_view part) {
  return error.code == Errc::invalid && error.what.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("codec: golden headers decode and encode to the same bytes", "[bus]") {
  const auto all = golden_headers();
  CHECK(all.size() > 10);
  for (const auto& golden : all) {
    INFO(golden.kind << " " << golden.name);
    CHECK(to_hex(decoded_and_encoded(golden)) == to_hex(golden.header));
  }
}

TEST_CASE("codec: every message, and every error, has a golden header", "[bus]") {
  const auto request = [](const auto& decoded) {
    return decoded ? decoded->message.index() : std::variant_npos;
  };
  const auto reply = [](const auto& decoded) {
    return decoded && decoded->message ? decoded->message->index() : std::variant_npos;
  };
  const std::vector<std::string> none;
  CHECK(without_golden<client::Request>("client_request", [&](const Bytes& header) {
          return request(codec::decode_client_request(header));
        }) == none);
  CHECK(without_golden<client::Reply>("client_reply", [&](const Bytes& header) {
          return reply(codec::decode_client_reply(header));
        }) == none);
  CHECK(without_golden<peer::Request>("peer_request", [&](const Bytes& header) {
          return request(codec::decode_peer_request(header));
        }) == none);
  CHECK(without_golden<peer::Reply>("peer_reply", [&](const Bytes& header) {
          return reply(codec::decode_peer_reply(header));
        }) == none);
  CHECK(without_golden<broadcast::Message>("broadcast", [](const Bytes& header) {
          const auto decoded = codec::decode_broadcast(header);
          return decoded ? decoded->second.index() : std::variant_npos;
        }) == none);
  std::set<std::string> codes;
  for (const auto& golden : golden_headers()) {
    if (golden.kind != "client_error") continue;
    const auto decoded = codec::decode_client_reply(golden.header);
    codes.insert(std::string(to_string(decoded.value().message.error().code)));
  }
  CHECK(codes.size() == static_cast<std::size_t>(Errc::conflict));  // the last one
}

TEST_CASE("codec: must-fail headers are refused with a reason and their id", "[bus]") {
  std::ifstream file("tests/vectors/bad_client_headers.txt");
  std::size_t tried = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with('#')) continue;
    INFO(line);
    std::istringstream words(line);
    std::string hex;
    std::uint64_t id = 0;
    std::string why;
    std::getline(words >> hex >> id >> std::ws, why);
    const auto decoded = codec::decode_client_request(*from_hex(hex == "-" ? "" : hex));
    REQUIRE_FALSE(decoded);
    CHECK_THAT(decoded.error().error.what, Catch::Contains(why));
    CHECK(decoded.error().error.code == Errc::invalid);
    CHECK(decoded.error().id == id);
    ++tried;
  }
  CHECK(tried > 10);
}

TEST_CASE("codec: every message comes back as it was sent", "[bus]") {
  for (const auto& message : each_of(client::Request())) {
    const auto decoded = codec::decode_client_request(codec::encode(3, message));
    REQUIRE(decoded);
    CHECK(decoded->message.index() == message.index());
    CHECK(decoded->id == 3);
  }
  for (const auto& message : each_of(peer::Request())) {
    const auto decoded = codec::decode_peer_request(codec::encode(4, message));
    REQUIRE(decoded);
    CHECK(decoded->message.index() == message.index());
  }
  for (const auto& message : each_of(client::Reply())) {
    const auto decoded = codec::decode_client_reply(codec::encode(5, message));
    REQUIRE(decoded);
    REQUIRE(decoded->message);
    CHECK(decoded->message->index() == message.index());
  }
  for (const auto& message : each_of(peer::Reply())) {
    const auto decoded = codec::decode_peer_reply(codec::encode(6, message));
    REQUIRE(decoded);
    REQUIRE(decoded->message);
    CHECK(decoded->message->index() == message.index());
  }
  for (const auto& message : each_of(broadcast::Message())) {
    const auto decoded = codec::decode_broadcast(codec::encode(codec::BroadcastHeader{}, message));
    REQUIRE(decoded);
    CHECK(decoded->second.index() == message.index());
  }
}

TEST_CASE("codec: a header cut anywhere is refused", "[bus]") {
  for (const auto& golden : golden_headers()) {
    for (std::size_t length = 0; length < golden.header.size(); ++length) {
      const auto cut = ByteView(golden.header).first(length);
      CHECK_FALSE(codec::decode_client_request(cut));
      CHECK_FALSE(codec::decode_client_reply(cut));
      CHECK_FALSE(codec::decode_peer_request(cut));
      CHECK_FALSE(codec::decode_peer_reply(cut));
      CHECK_FALSE(codec::decode_broadcast(cut));
      CHECK_FALSE(codec::decode_published(cut));
    }
  }
}

TEST_CASE("codec: no flipped bit does more than fail", "[bus]") {
  for (const auto& golden : golden_headers()) {
    auto header = golden.header;
    for (std::size_t bit = 0; bit < header.size() * 8; ++bit) {
      header[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
      CHECK(is_read_or_invalid(codec::decode_client_request(header)));
      CHECK(is_read_or_invalid(codec::decode_client_reply(header)));
      CHECK(is_read_or_invalid(codec::decode_peer_request(header)));
      CHECK(is_read_or_invalid(codec::decode_peer_reply(header)));
      CHECK(is_read_or_invalid(codec::decode_broadcast(header)));
      CHECK(is_read_or_invalid(codec::decode_published(header)));
      header[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
    }
  }
}

TEST_CASE("codec: fields added by later programs are ignored", "[bus]") {
  // {"v": 1, "t": "status", "id": 1, "later": [nil]}
  const auto header = *from_hex("84a17601a174a6737461747573a2696401a56c6174657291c0");
  CHECK(codec::decode_client_request(header));
}

TEST_CASE("codec: a manifest larger than any may be is refused", "[bus]") {
  const Bytes largest(manifest_bytes_max);
  const Bytes larger(manifest_bytes_max + 1);
  const auto request = [](const Bytes& manifest) {
    return codec::decode_peer_request(
        codec::encode(9, peer::Request(peer::PutInline{.manifest = manifest})));
  };
  CHECK(request(largest));
  REQUIRE_FALSE(request(larger));
  CHECK(is_error(request(larger).error().error, "'manifest' has 8193 bytes"));
  CHECK(request(larger).error().id == 9);
  CHECK_FALSE(
      codec::decode_peer_reply(codec::encode(1, peer::Reply(peer::Committed{.standing = larger}))));
  CHECK_FALSE(codec::decode_broadcast(
      codec::encode(codec::BroadcastHeader{}, broadcast::Store{.manifest = larger})));
}

TEST_CASE("codec: a header larger than any may be is refused unread", "[bus]") {
  const Bytes header(codec::header_bytes_max + 1, 0xC0);
  REQUIRE_FALSE(codec::decode_peer_request(header));
  CHECK(is_error(codec::decode_peer_request(header).error().error, "at most 1048576"));
}

TEST_CASE("codec: a header of more items than any may have is refused unread", "[bus]") {
  auto header = codec::encode(1, peer::Request(peer::GetRoster{}));
  header.front() += 3;  // a map of three more, each of as many numbers as an array may have
  for (int field = 0; field < 3; ++field) {
    const std::string_view numbers("\xa2zz\xdd\x00\x00\xff\xff", 8);
    header.insert(header.end(), numbers.begin(), numbers.end());
    header.resize(header.size() + 65'535, 1);
  }
  const auto refused = codec::decode_peer_request(header);
  REQUIRE_FALSE(refused);
  CHECK_THAT(refused.error().error.what, Catch::Contains("items"));
}

TEST_CASE("codec: errors keep their code, and an unknown one is invalid", "[bus]") {
  const auto sent_back = [](ByteView header) {
    const auto decoded = codec::decode_peer_reply(header);
    REQUIRE(decoded);
    REQUIRE_FALSE(decoded->message);
    return decoded->message.error();
  };
  CHECK(sent_back(codec::encode(1, Error{Errc::no_quorum, "2 of 3"})).code == Errc::no_quorum);
  // {"v": 1, "t": "error", "id": 1, "code": "melted", "what": "oh"}
  const auto melted = sent_back(
      *from_hex("85a17601a174a56572726f72a2696401a4636f6465a66d656c746564a477686174a26f68"));
  CHECK(melted.code == Errc::invalid);
  CHECK(melted.what == "oh");
}

TEST_CASE("codec: what an error says is cut between characters and is always UTF-8", "[bus]") {
  const auto said = [](std::string what) {
    const auto decoded = codec::decode_client_reply(codec::encode(1, Error{Errc::io, what}));
    REQUIRE(decoded);
    REQUIRE_FALSE(decoded->message);
    return decoded->message.error().what;
  };
  std::string umlauts = "x";
  for (int i = 0; i < 1000; ++i)
    umlauts += "ä";
  CHECK(said(umlauts) == umlauts.substr(0, 1023));
  CHECK(said("no\xff") == "no?");
}

TEST_CASE("codec: what an error says does not steer the terminal it comes to", "[bus]") {
  auto header = codec::encode(1, Error{Errc::io, "it is _[2Jgone"});
  std::ranges::replace(header, std::uint8_t{'_'}, std::uint8_t{0x1B});
  const auto decoded = codec::decode_peer_reply(header);
  REQUIRE(decoded);
  REQUIRE_FALSE(decoded->message);
  CHECK(decoded->message.error().what == "it is ?[2Jgone");
}
