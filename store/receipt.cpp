#include "store/receipt.hpp"

namespace zerodb {
namespace {

constexpr std::string_view receipt_prefix = "zerodb receipt v1";

Bytes receipt_bytes(const NodeId& node, const ManifestHash& version, std::uint64_t time_ms) {
  Bytes said = to_bytes(as_bytes(receipt_prefix));
  said.insert(said.end(), version.view().begin(), version.view().end());
  said.insert(said.end(), node.view().begin(), node.view().end());
  std::array<std::uint8_t, 8> time{};
  put_u64(time, time_ms);
  said.insert(said.end(), time.begin(), time.end());
  return said;
}

}  // namespace

Receipt sign_receipt(const SigningKey& key, const NodeId& node, const ManifestHash& version,
                     std::uint64_t time_ms) {
  return {.node = node,
          .time_ms = time_ms,
          .signature = key.sign(receipt_bytes(node, version, time_ms))};
}

bool verify_receipt(const SignKey& signer, const ManifestHash& version, const Receipt& receipt) {
  return verify(signer.view(), receipt_bytes(receipt.node, version, receipt.time_ms),
                receipt.signature);
}

}  // namespace zerodb
