#pragma once
// What nodes publish to whoever subscribed, as plain structs. PROTOCOL.md says what each one means.
// Thread-safe: plain values.

#include <variant>

#include "bus/message_fields.hpp"
#include "store/ids.hpp"

namespace zerodb {

namespace broadcast {

/// A version was stored or deleted; `manifest` says which (it is the proof, too).
struct Store {
  static constexpr std::string_view name = "store";
  Bytes manifest;
  ZERODB_FIELDS(field("manifest", self.manifest);)
};

struct Delete {
  static constexpr std::string_view name = "delete";
  Bytes manifest;
  ZERODB_FIELDS(field("manifest", self.manifest);)
};

/// "Who has this?" Every member that hears it answers with peer::Have.
struct Get {
  static constexpr std::string_view name = "get";
  OwnerId owner;
  HashedKey hashed_key;
  std::uint64_t nonce = 0;
  ZERODB_FIELDS(field("owner", self.owner); field("hashed_key", self.hashed_key);
                field("nonce", self.nonce);)
};

using Message = std::variant<Store, Delete, Get>;

/// The signed manifest it tells of; nothing for a question.
inline const Bytes* manifest_of(const Message& message) {
  if (const auto* store = std::get_if<Store>(&message)) return &store->manifest;
  if (const auto* gone = std::get_if<Delete>(&message)) return &gone->manifest;
  return nullptr;
}

}  // namespace broadcast

}  // namespace zerodb
