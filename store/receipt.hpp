#pragma once
// Receipts: a node's signed word that it had made a version durable. Whoever has the signed
// manifest and the node's signing key can check one, without a node and without a key of the owner.
// Thread-safe: pure functions.

#include "store/keys.hpp"

namespace zerodb {

struct Receipt {
  NodeId node;
  std::uint64_t time_ms = 0;  ///< the node's clock, UTC
  Signature signature;        ///< Ed25519 by the node's signing key
};

/// For the version whose manifest has the hash `version`.
Receipt sign_receipt(const SigningKey& key, const NodeId& node, const ManifestHash& version,
                     std::uint64_t time_ms);

/// False if anything but what the holder of `signer` signed.
bool verify_receipt(const SignKey& signer, const ManifestHash& version, const Receipt& receipt);

}  // namespace zerodb
