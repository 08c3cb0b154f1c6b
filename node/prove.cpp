#include "node/prove.hpp"

#include <algorithm>

namespace zerodb {
namespace {

constexpr std::string_view proof_domain = "zerodb proof";

Status check_question(const peer::Prove& request) {
  const auto& indices = request.indices;
  if (indices.empty() || indices.size() > prove_chunks_max) {
    return fail(Errc::invalid, "prove: asks for " + std::to_string(indices.size()) +
                                   " chunks; 1 to " + std::to_string(prove_chunks_max) +
                                   " are possible");
  }
  if (std::ranges::adjacent_find(indices, std::greater_equal<>()) != indices.end()) {
    return fail(Errc::invalid, "prove: indices must ascend");
  }
  return {};
}

/// The version that has the blob, or else what stands in its place.
struct Subject {
  std::optional<SignedManifest> version;
  bool has_blob = false;
};

Result<Subject> find_subject(Store& store, const peer::Prove& request) {
  const ObjectId object{.owner = request.owner, .hashed_key = request.hashed_key};
  auto found = store.find(object, request.blob_id);
  if (!found) return fail(std::move(found.error()));
  if (*found) return Subject{.version = std::move(*found), .has_blob = true};
  auto latest = store.latest(object);
  if (!latest) return fail(std::move(latest.error()));
  return Subject{.version = std::move(*latest), .has_blob = false};
}

Result<ChunkProof> prove_from_disk(Store& store, const SignedManifest& version,
                                   const peer::Prove& request, const NodeId& self,
                                   std::uint64_t index) {
  const auto sealed = store.read_chunk(version, index);
  if (sealed) return prove_chunk(request.nonce, self, index, sealed->view());
  const auto& error = sealed.error();
  // The manifest is here, so its bytes should be, too.
  const auto code = error.code == Errc::not_found ? Errc::corrupt : error.code;
  return fail(code, "prove: " + error.what);
}

}  // namespace

ChunkProof prove_chunk(const peer::ProofNonce& nonce, const NodeId& prover, std::uint64_t index,
                       ByteView sealed) {
  std::array<std::uint8_t, 8> number{};
  put_u64(number, index);
  return hash_to<ChunkProof>(proof_domain, {nonce.view(), prover.view(), number, sealed});
}

Task<Result<PeerAnswer>> prove_here(NodeContext context, peer::Prove request) {
  if (auto good = check_question(request); !good) co_return fail(std::move(good.error()));
  auto find = [&] { return find_subject(context.store, request); };
  auto subject = co_await offload(context.runtime, find);
  if (!subject) co_return fail(std::move(subject.error()));
  peer::Prove::Reply reply;
  if (!subject->version) co_return PeerAnswer{std::move(reply), Payload()};
  const SignedManifest& version = *subject->version;
  reply.manifest = version.wire();
  if (!subject->has_blob) co_return PeerAnswer{std::move(reply), Payload()};
  if (request.indices.back() >= version->chunk_count) {
    co_return fail(Errc::invalid, "prove: chunk " + std::to_string(request.indices.back()) +
                                      " of " + std::to_string(version->chunk_count));
  }
  Bytes proofs;
  for (const auto index : request.indices) {
    auto prove = [&] {
      return prove_from_disk(context.store, version, request, context.mesh.self(), index);
    };
    const auto proof = co_await offload(context.runtime, prove);
    if (!proof) co_return fail(Error(proof.error()));
    proofs.insert(proofs.end(), proof->view().begin(), proof->view().end());
  }
  co_return PeerAnswer{std::move(reply), Payload::take(std::move(proofs))};
}

}  // namespace zerodb
