#include "tools/zdb_receipts.hpp"

#include <set>

#include "store/manifest.hpp"
#include "store/receipt.hpp"
#include "tools/zdb_json.hpp"

namespace zerodb::tools {

namespace {

using nlohmann::ordered_json;

constexpr std::string_view document_format = "zerodb receipts v1";

Receipt receipt_of(const client::Receipt& said) {
  return {.node = said.node, .time_ms = said.time_ms, .signature = said.signature};
}

/// A field that must be there as text; empty if it is not.
std::string text_of(const ordered_json& map, const char* name) {
  const auto found = map.find(name);
  return found != map.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::uint64_t number_of(const ordered_json& map, const char* name) {
  const auto found = map.find(name);
  return found != map.end() && found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

Status check_against(const ordered_json& document, const SignedManifest& manifest) {
  const bool same = text_of(document, "owner") == manifest->object.owner.hex() &&
                    text_of(document, "hashed_key") == manifest->object.hashed_key.hex() &&
                    text_of(document, "manifest_hash") == manifest.hash().hex() &&
                    number_of(document, "version") == manifest->version.value;
  if (same) return {};
  return fail(Errc::corrupt, "what the file says is not what its manifest says");
}

CheckedReceipts::One check_one(const ordered_json& entry, const ManifestHash& version) {
  CheckedReceipts::One one;
  if (!entry.is_object()) return one;
  one.node = text_of(entry, "node");
  one.node_name = text_of(entry, "node_name");
  one.sign_key = text_of(entry, "sign_key");
  one.time_ms = number_of(entry, "time_ms");
  const auto node = NodeId::from_hex(one.node);
  const auto signer = SignKey::from_hex(one.sign_key);
  const auto signature = Signature::from_hex(text_of(entry, "signature"));
  if (!node || !signer || !signature) return one;
  one.good = verify_receipt(*signer, version,
                            {.node = *node, .time_ms = one.time_ms, .signature = *signature});
  return one;
}

Result<SignedManifest> manifest_in(const ordered_json& document) {
  const auto wire = from_hex(text_of(document, "manifest"));
  if (!wire) return fail("its manifest", Error(wire.error()));
  return SignedManifest::verify(*wire);
}

}  // namespace

Result<std::string> receipts_document(const std::string& key, const client::Stored& stored) {
  if (!stored.manifest || !stored.receipts) {
    return fail(Errc::invalid, "the node gave no receipts: it is older than this program");
  }
  const auto manifest = SignedManifest::verify(*stored.manifest);
  if (!manifest) return fail("the node's manifest", Error(manifest.error()));
  if ((*manifest)->version.value != stored.version) {
    return fail(Errc::corrupt, "the node gave receipts for another version");
  }
  auto receipts = ordered_json::array();
  for (const auto& said : *stored.receipts) {
    if (!verify_receipt(said.sign_key, manifest->hash(), receipt_of(said))) {
      return fail(Errc::corrupt, "the receipt of " + printable(said.node_name) + " is forged");
    }
    receipts.push_back({{"node", said.node.hex()},
                        {"node_name", said.node_name},
                        {"sign_key", said.sign_key.hex()},
                        {"time_ms", said.time_ms},
                        {"signature", said.signature.hex()}});
  }
  const ordered_json document{{"format", document_format},
                              {"owner", (*manifest)->object.owner.hex()},
                              {"key", key},
                              {"hashed_key", (*manifest)->object.hashed_key.hex()},
                              {"version", stored.version},
                              {"size", stored.size},
                              {"manifest_hash", manifest->hash().hex()},
                              {"manifest", to_hex(manifest->wire())},
                              {"receipts", std::move(receipts)}};
  return json_text(document);
}

Result<CheckedReceipts> check_receipts(const std::string& text) {
  const auto document = ordered_json::parse(text, nullptr, false);
  if (!document.is_object() || text_of(document, "format") != document_format) {
    return fail(Errc::invalid, "is no file of receipts");
  }
  const auto manifest = manifest_in(document);
  if (!manifest) return fail(Errc::corrupt, "the manifest in it: " + manifest.error().what);
  if (auto same = check_against(document, *manifest); !same) return fail(std::move(same.error()));
  CheckedReceipts checked{.key = text_of(document, "key"),
                          .owner = (*manifest)->object.owner.hex(),
                          .version = (*manifest)->version.value,
                          .size = (*manifest)->size,
                          .deletion = (*manifest)->is_tombstone(),
                          .good = 0};
  const auto receipts = document.find("receipts");
  if (receipts == document.end() || !receipts->is_array()) {
    return fail(Errc::invalid, "holds no list of receipts");
  }
  std::set<std::string> nodes;
  for (const auto& entry : *receipts) {
    auto one = check_one(entry, manifest->hash());
    // One node, one receipt: said twice, it counts once.
    if (one.good && !nodes.insert(one.node).second) continue;
    checked.good += one.good ? 1 : 0;
    checked.receipts.push_back(std::move(one));
  }
  return checked;
}

}  // namespace zerodb::tools
