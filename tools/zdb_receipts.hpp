#pragma once
// Receipts as a file: one JSON document that says all that is needed to check them, by anybody,
// with no node and no key. Thread-safe: pure functions.

#include <string>

#include "bus/client_message.hpp"

namespace zerodb::tools {

/// `stored` as a node answered it to a put of `key` that asked for receipts. `corrupt` if a receipt
/// in it is not good, or the manifest is not of the version stored; then nothing can be kept.
Result<std::string> receipts_document(const std::string& key, const client::Stored& stored);

/// What a receipts file turned out to say.
struct CheckedReceipts {
  std::string key;    ///< as the file says: only the owner could prove that it is this one
  std::string owner;  ///< hexadecimal
  std::uint64_t version = 0;
  std::uint64_t size = 0;
  bool deletion = false;
  struct One {
    std::string node;       ///< hexadecimal
    std::string node_name;  ///< as the file says
    std::string sign_key;   ///< hexadecimal
    std::uint64_t time_ms = 0;
    bool good = false;
  };
  std::vector<One> receipts;
  std::size_t good = 0;
};

/// `invalid` if the text is no such document; `corrupt` if its manifest is not signed by its owner,
/// or what it says beside the manifest is not what the manifest says.
Result<CheckedReceipts> check_receipts(const std::string& text);

}  // namespace zerodb::tools
