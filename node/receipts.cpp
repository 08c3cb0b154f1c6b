#include "node/receipts.hpp"

namespace zerodb {

Task<std::optional<peer::Receipt>> make_receipt(NodeContext context, Bytes manifest) {
  if (context.sign_key == nullptr) co_return std::nullopt;
  const auto time_ms = context.runtime.now_ms();
  auto work = [&]() -> std::optional<peer::Receipt> {
    const auto version = SignedManifest::trusted(manifest);
    if (!version) return {};
    const auto signed_now =
        sign_receipt(*context.sign_key, context.mesh.self(), version->hash(), time_ms);
    return peer::Receipt{.time_ms = time_ms, .signature = signed_now.signature};
  };
  co_return co_await offload(context.runtime, work);
}

Task<std::optional<Receipt>> check_receipt(NodeContext context, NodeId node, ManifestHash version,
                                           std::optional<peer::Receipt> receipt) {
  const auto* member = context.mesh.roster().find(node);
  if (!receipt || member == nullptr) co_return std::nullopt;
  const auto signer = member->sign_key;
  const Receipt said{.node = node, .time_ms = receipt->time_ms, .signature = receipt->signature};
  auto work = [&] { return verify_receipt(signer, version, said); };
  const bool good = co_await offload(context.runtime, work);
  if (!good) co_return std::nullopt;
  co_return said;
}

}  // namespace zerodb
