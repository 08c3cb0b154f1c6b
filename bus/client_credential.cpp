#include "bus/client_credential.hpp"

#include <algorithm>

#include "bus/check_characters.hpp"
#include "store/fields.hpp"
#include "store/hash.hpp"

namespace zerodb {

namespace {

// PREFIX body "." sum checks: the sum is over the body's text, the checks over body and sum.
constexpr std::string_view sum_domain = "zerodb client v1";
constexpr std::size_t sum_bytes = 6;
constexpr std::size_t sum_characters = 8;
constexpr std::size_t credential_text_max = 2048;

/// What the body encodes. The secret passes through plain memory here and is wiped after.
struct CredentialBody {
  std::string name;
  std::string endpoint;
  NodeId server;
  NodeId public_key;
  Bytes secret;

  CredentialBody() = default;
  CredentialBody(CredentialBody&&) = default;
  ~CredentialBody() { wipe(secret); }

  template <class Self, class Visitor>
  static void visit(Self& self, Visitor& field) {
    field("name", self.name);
    field("endpoint", self.endpoint);
    field("server", self.server);
    field("public", self.public_key);
    field("secret", self.secret);
  }
};

std::string sum_of(std::string_view body) {
  const auto hash = blake2b_256(sum_domain, {as_bytes(body)});
  return to_base64url(ByteView(hash).first(sum_bytes));
}

/// How long the body of a credential is that has `size` characters after the prefix, if any has.
std::optional<std::size_t> body_size_of(std::size_t size) {
  for (auto body = size; body > 0; --body) {
    const auto whole = body + 1 + sum_characters + check_characters_of(body + sum_characters);
    if (whole == size) return body;
    if (whole < size) break;
  }
  return {};
}

tl::unexpected<Error> bad(const std::string& what) {
  return fail(Errc::invalid,
              "the credential " + what + ": copy the whole line that zdb client add printed");
}

tl::unexpected<Error> mistyped(std::size_t place, char found, char meant) {
  return bad("is mistyped: character " + std::to_string(place + 1) + " is '" +
             printable({&found, 1}) + "' and should be '" + meant + "'");
}

/// A prefix that differs in one place is a slip; one that differs in more is something else.
Status check_prefix(std::string_view line) {
  std::size_t differing = 0;
  std::size_t place = 0;
  for (std::size_t i = 0; i < credential_prefix.size(); ++i) {
    if (i < line.size() && line[i] == credential_prefix[i]) continue;
    ++differing;
    place = i;
  }
  if (differing == 0) return {};
  if (differing == 1 && place < line.size()) {
    return mistyped(place, line[place], credential_prefix[place]);
  }
  return fail(Errc::invalid, "that is not a client's credential: one begins with '" +
                                 std::string(credential_prefix) +
                                 "' and is printed by zdb client add");
}

/// What was mistyped in `checked`, which is the body, the sum and the checks, in one.
Status explain(std::string_view checked, std::size_t body_size) {
  const auto place_in_line = [&](std::size_t place) {
    return credential_prefix.size() + place + (place < body_size ? 0 : 1);
  };
  const auto slip = find_slip(checked);
  if (!slip) return bad("is altered in more than one place");
  std::string mended(checked);
  mended[slip->place] = slip->meant;
  const auto body = std::string_view(mended).substr(0, body_size);
  if (sum_of(body) != std::string_view(mended).substr(body_size, sum_characters)) {
    return bad("is altered in more than one place");
  }
  return mistyped(place_in_line(slip->place), checked[slip->place], slip->meant);
}

/// The body's text, if nothing in the line is wrong.
Result<std::string> checked_body(std::string_view line) {
  if (auto begun = check_prefix(line); !begun) return fail(std::move(begun.error()));
  const auto rest = line.substr(credential_prefix.size());
  const auto body_size = body_size_of(rest.size());
  const bool dot_elsewhere =
      body_size && rest[*body_size] != '.' && rest.find('.') != std::string_view::npos;
  if (!body_size || dot_elsewhere) return bad("is cut, or has a character too many");
  std::string checked(rest);
  for (std::size_t i = 0; i < rest.size(); ++i) {
    const bool dot = i == *body_size;
    if (dot ? rest[i] == '.' : is_base64url(rest[i])) continue;
    if (dot) return mistyped(credential_prefix.size() + i, rest[i], '.');
    return bad("is mistyped: character " + std::to_string(credential_prefix.size() + i + 1) +
               ", '" + printable(rest.substr(i, 1)) + "', belongs in none");
  }
  checked.erase(*body_size, 1);
  auto body = checked.substr(0, *body_size);
  const auto expected = body + sum_of(body);
  if (expected + check_characters(expected) == checked) return body;
  auto explained = explain(checked, *body_size);
  return fail(std::move(explained.error()));
}

Result<ClientCredential> credential_of(CredentialBody body) {
  auto secret = CurveSecret::from(body.secret);
  if (!secret || !body.endpoint.starts_with("tcp://")) return bad("makes no sense");
  auto keys = CurvePair::from_secret(std::move(*secret));
  if (keys.public_key != body.public_key) return bad("makes no sense");
  return ClientCredential{.name = std::move(body.name),
                          .endpoint = std::move(body.endpoint),
                          .server = body.server,
                          .keys = std::move(keys)};
}

}  // namespace

std::string credential_text(const ClientCredential& credential) {
  CredentialBody body;
  body.name = credential.name;
  body.endpoint = credential.endpoint;
  body.server = credential.server;
  body.public_key = credential.keys.public_key;
  body.secret = to_bytes(credential.keys.secret.view());
  auto bytes = fields::encode(body);
  const auto text = to_base64url(bytes);
  wipe(bytes);
  const auto sum = sum_of(text);
  return std::string(credential_prefix) + text + "." + sum + check_characters(text + sum);
}

Result<ClientCredential> parse_credential(std::string_view text) {
  if (auto ready = initialise_crypto(); !ready) return fail(std::move(ready.error()));
  std::string line;
  std::ranges::copy_if(text.substr(0, credential_text_max), std::back_inserter(line),
                       [](char c) { return c != ' ' && c != '\n' && c != '\r' && c != '\t'; });
  const auto text_of_body = checked_body(line);
  if (!text_of_body) return fail(text_of_body.error());
  auto bytes = from_base64url(*text_of_body);
  if (!bytes) return bad("makes no sense");
  auto body = fields::decode<CredentialBody>(*bytes);
  wipe(*bytes);
  if (!body) return bad("makes no sense");
  return credential_of(std::move(*body));
}

}  // namespace zerodb
