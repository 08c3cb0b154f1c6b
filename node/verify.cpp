#include "node/verify.hpp"

#include "node/fan_out.hpp"
#include "node/leaf_table.hpp"
#include "node/prove.hpp"

namespace zerodb {
namespace {

constexpr Milliseconds proof_timeout{15'000};
constexpr Milliseconds prover_busy_pause{50};
constexpr int prover_busy_retries_max = 6;
constexpr std::size_t verifying_max = 8;

struct ProofAnswer {
  Result<Answer<peer::Prove::Reply>> said;
  std::uint64_t took_ms = 0;
};

/// One node, what it was asked with, and what came of it.
struct Witness {
  NodeProof result;
  peer::ProofNonce nonce;
  std::vector<ChunkProof> proofs;  ///< one for each chunk asked about, or none
};

/// A node that is busy is asked again, for a while.
Task<ProofAnswer> ask_there(CorePtr core, NodeId node, peer::Prove request) {
  auto& runtime = core->context.runtime;
  auto pause = prover_busy_pause;
  for (int i = 0;; ++i) {
    const auto asked_ms = runtime.steady_ms();
    auto said = co_await call(core->context.links, node, request, Payload{}, proof_timeout);
    const auto took_ms = runtime.steady_ms() - asked_ms;
    const bool busy = !said && said.error().code == Errc::busy;
    if (!busy || i == prover_busy_retries_max) {
      co_return ProofAnswer{.said = std::move(said), .took_ms = took_ms};
    }
    co_await runtime.sleep(pause);
    pause *= 2;
  }
}

Task<ProofAnswer> ask_here(CorePtr core, peer::Prove request) {
  const auto asked_ms = core->context.runtime.steady_ms();
  auto answer = co_await prove_here(core->context, std::move(request));
  ProofAnswer own{.took_ms = core->context.runtime.steady_ms() - asked_ms};
  if (answer) {
    auto& reply = std::get<peer::Prove::Reply>(answer->message);
    own.said = Answer<peer::Prove::Reply>{.message = std::move(reply), .payload = answer->payload};
  } else {
    own.said = fail(std::move(answer.error()));
  }
  co_return own;
}

/// Whether a node that failed with this has something wrong with what it holds; if not, nothing is
/// known of that.
bool is_about_its_bytes(Errc code) {
  return code == Errc::corrupt || code == Errc::io || code == Errc::invalid;
}

/// Something that was looked for on all who may have it: found, or no whole one is left among those
/// who answered (nothing), or not everybody could be asked (an error).
template <class T>
using Found = Result<std::optional<T>>;

/// One verification. Lives in the frame of verify_version().
class Examination {
 public:
  Examination(CorePtr core, Located located);

  Task<void> question();
  Task<Status> compare();
  Verification result() const;

 private:
  const Manifest& manifest() const { return version_->manifest(); }
  void choose_chunks();
  peer::Prove question_for(const Witness& witness) const;
  Task<void> hear(Witness& witness, ProofAnswer answer);
  Task<Result<SignedPtr>> check_manifest(Bytes wire);
  void accuse(Witness& witness, std::string what);
  void accuse_all(const std::string& what);
  void choose_sources();

  Task<Found<std::vector<Leaf>>> find_leaves();
  Task<Result<std::vector<Leaf>>> leaves_from(NodeId node);
  Task<Found<Payload>> find_chunk(std::size_t position);
  Task<Result<Payload>> chunk_from(NodeId node, std::uint64_t index);
  bool is_right(std::size_t position, ByteView sealed) const;
  Task<void> compare_chunk(std::size_t position, Payload sealed);

  CorePtr core_;
  SignedPtr version_;
  Targets targets_;
  std::vector<NodeId> holders_;  ///< as they said when it was located
  std::vector<NodeId> sources_;  ///< whom to ask for bytes to compare with
  std::vector<std::uint64_t> indices_;
  std::vector<Leaf> leaves_;  ///< of those chunks; none if the object has one chunk
  std::vector<Witness> witnesses_;
};

Examination::Examination(CorePtr core, Located located)
    : core_(std::move(core)),
      version_(std::move(located.version)),
      targets_(core_->targets_for(manifest().object)),
      holders_(std::move(located.holders)) {
  choose_chunks();
  for (const auto& node : targets_.nodes()) {
    Witness witness;
    witness.result.node = node;
    core_->context.runtime.random(witness.nonce.mutable_view());
    witnesses_.push_back(std::move(witness));
  }
}

void Examination::choose_chunks() {
  const auto count = manifest().chunk_count;
  std::set<std::uint64_t> chosen;
  while (chosen.size() < std::min<std::uint64_t>(count, prove_chunks_max)) {
    std::array<std::uint8_t, 8> bytes{};
    core_->context.runtime.random(bytes);
    chosen.insert(count <= prove_chunks_max ? chosen.size() : get_u64(bytes) % count);
  }
  indices_.assign(chosen.begin(), chosen.end());
}

peer::Prove Examination::question_for(const Witness& witness) const {
  return {.owner = manifest().object.owner,
          .hashed_key = manifest().object.hashed_key,
          .blob_id = manifest().blob_id,
          .nonce = witness.nonce,
          .indices = indices_};
}

Task<void> Examination::question() {
  FanOut<ProofAnswer> round(core_->context.runtime);
  for (auto& witness : witnesses_) {
    const auto node = witness.result.node;
    if (!core_->is_up(node)) {
      witness.result.what = "is down";
      continue;
    }
    round.ask(node, core_->is_self(node) ? ask_here(core_, question_for(witness))
                                         : ask_there(core_, node, question_for(witness)));
  }
  while (!round.all_answered())
    co_await round.changed();
  while (auto next = round.take()) {
    const auto is_its = [&](const Witness& one) { return one.result.node == next->first; };
    co_await hear(*std::ranges::find_if(witnesses_, is_its), std::move(next->second));
  }
  choose_sources();
}

void Examination::accuse(Witness& witness, std::string what) {
  const auto& node = witness.result.node;
  if (!core_->is_self(node)) core_->complaints.about(node, "wrong proof", what);
  witness.result.holding = Holding::damaged;
  witness.result.what = std::move(what);
}

void Examination::accuse_all(const std::string& what) {
  for (auto& witness : witnesses_) {
    if (witness.result.holding == Holding::holds) accuse(witness, what);
  }
}

/// What it proved is compared later; here is looked at what it says it holds.
Task<void> Examination::hear(Witness& witness, ProofAnswer answer) {
  auto& result = witness.result;
  if (!answer.said) {
    const auto& error = answer.said.error();
    const bool its_bytes = is_about_its_bytes(error.code);
    result.holding = its_bytes ? Holding::damaged : Holding::unreachable;
    if (its_bytes) result.took_ms = answer.took_ms;
    result.what = error.what;
    co_return;
  }
  result.took_ms = answer.took_ms;
  auto& [reply, payload] = *answer.said;
  if (!reply.manifest) {
    result.holding = Holding::missing;
    result.what = "has nothing of it";
    co_return;
  }
  auto said = co_await check_manifest(std::move(*reply.manifest));
  if (!said) co_return accuse(witness, "answered no version of it: " + said.error().what);
  if ((*said)->hash() != version_->hash()) {
    const bool newer = (*said)->is_later_than(*version_);
    result.holding = newer ? Holding::newer : Holding::older;
    result.what = newer ? "holds a later version" : "holds an earlier version";
    co_return;
  }
  if (payload.size() != indices_.size() * ChunkProof::size) {
    co_return accuse(witness, "answered " + std::to_string(payload.size()) +
                                  " bytes for proofs of " + std::to_string(indices_.size()) +
                                  " chunks");
  }
  for (std::size_t at = 0; at < payload.size(); at += ChunkProof::size)
    witness.proofs.push_back(*ChunkProof::from(payload.view().subspan(at, ChunkProof::size)));
  result.holding = Holding::holds;
}

Task<Result<SignedPtr>> Examination::check_manifest(Bytes wire) {
  if (wire == version_->wire()) co_return version_;
  auto work = [&] { return SignedManifest::verify(wire); };
  auto verified = co_await offload(core_->context.runtime, work);
  if (!verified) co_return fail(std::move(verified.error()));
  if ((*verified)->object != manifest().object) {
    co_return fail(Errc::corrupt, "it is another object's");
  }
  co_return std::make_shared<const SignedManifest>(std::move(*verified));
}

/// This node first, then those who proved something, then who else said that it has it.
void Examination::choose_sources() {
  const auto add = [&](const NodeId& node) {
    if (std::ranges::find(sources_, node) != sources_.end()) return;
    sources_.insert(core_->is_self(node) ? sources_.begin() : sources_.end(), node);
  };
  for (const auto& witness : witnesses_) {
    if (!witness.proofs.empty()) add(witness.result.node);
  }
  for (const auto& node : holders_)
    add(node);
}

// ------------------------------------------------------------------------- what to compare with

Task<Status> Examination::compare() {
  if (std::ranges::all_of(witnesses_, [](const Witness& one) { return one.proofs.empty(); })) {
    co_return Status{};
  }
  auto leaves = co_await find_leaves();
  if (!leaves) co_return fail(std::move(leaves.error()));
  if (!*leaves) {
    accuse_all("has no leaves that give the signed root");
    co_return Status{};
  }
  leaves_ = std::move(**leaves);
  for (std::size_t position = 0; position < indices_.size(); ++position) {
    auto sealed = co_await find_chunk(position);
    if (!sealed) co_return fail(std::move(sealed.error()));
    if (*sealed) {
      co_await compare_chunk(position, std::move(**sealed));
    } else {
      accuse_all("has no whole chunk " + std::to_string(indices_[position]));
    }
  }
  co_return Status{};
}

Task<Found<std::vector<Leaf>>> Examination::find_leaves() {
  if (manifest().chunk_count == 1) co_return std::vector<Leaf>();
  std::optional<Error> unsure;
  for (const auto node : sources_) {
    auto leaves = co_await leaves_from(node);
    if (leaves) co_return std::move(*leaves);
    const auto code = leaves.error().code;
    if (code != Errc::not_found && !is_about_its_bytes(code)) unsure = std::move(leaves.error());
  }
  if (unsure) co_return fail(std::move(*unsure));
  co_return std::nullopt;
}

/// Those of the chunks asked about, once all together give the signed root.
Task<Result<std::vector<Leaf>>> Examination::leaves_from(NodeId node) {
  RootHasher root;
  std::vector<Leaf> chosen;
  std::uint64_t next = 0;
  while (next < manifest().chunk_count) {
    auto page = co_await leaves_page(core_->context, node, version_, next / leaves_a_page);
    if (!page) co_return fail(std::move(page.error()));
    for (const auto& leaf : *page) {
      root.add(leaf);
      if (std::ranges::binary_search(indices_, next)) chosen.push_back(leaf);
      ++next;
    }
  }
  if (root.finish() != manifest().root) co_return fail(Errc::corrupt, "leaves of another root");
  co_return chosen;
}

Task<Found<Payload>> Examination::find_chunk(std::size_t position) {
  std::optional<Error> unsure;
  for (const auto node : sources_) {
    auto sealed = co_await chunk_from(node, indices_[position]);
    if (sealed) {
      auto check = [&] { return is_right(position, sealed->view()); };
      const bool right = co_await offload(core_->context.runtime, check);
      if (right) co_return std::move(*sealed);
      continue;
    }
    const auto code = sealed.error().code;
    if (code != Errc::not_found && !is_about_its_bytes(code)) unsure = std::move(sealed.error());
  }
  if (unsure) co_return fail(std::move(*unsure));
  co_return std::nullopt;
}

Task<Result<Payload>> Examination::chunk_from(NodeId node, std::uint64_t index) {
  if (core_->is_self(node)) {
    auto work = [&] { return core_->context.store.read_chunk(*version_, index); };
    co_return co_await offload(core_->context.runtime, work);
  }
  auto request = chunk_request(manifest(), index);
  auto answer = co_await call(core_->context.links, node, std::move(request), Payload{},
                              core_->options.chunk_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return std::move(answer->payload);
}

bool Examination::is_right(std::size_t position, ByteView sealed) const {
  const auto leaf = leaf_of(sealed);
  return leaves_.empty() ? root_of(leaf) == manifest().root : leaf == leaves_[position];
}

Task<void> Examination::compare_chunk(std::size_t position, Payload sealed) {
  const auto index = indices_[position];
  for (auto& witness : witnesses_) {
    if (witness.result.holding != Holding::holds) continue;
    auto work = [&] {
      return prove_chunk(witness.nonce, witness.result.node, index, sealed.view());
    };
    const auto expected = co_await offload(core_->context.runtime, work);
    if (expected == witness.proofs[position]) continue;
    accuse(witness, "its proof of chunk " + std::to_string(index) + " is wrong");
  }
}

Verification Examination::result() const {
  Verification verification{.version = manifest().version,
                            .size = manifest().size,
                            .chunks = manifest().chunk_count,
                            .chunks_asked = indices_.size(),
                            .moving = targets_.placements() > 1};
  for (const auto& witness : witnesses_)
    verification.nodes.push_back(witness.result);
  return verification;
}

/// Counts a verification for as long as it lasts.
class CountedVerification {
 public:
  explicit CountedVerification(CorePtr core) : core_(std::move(core)) { ++core_->verifying; }
  ~CountedVerification() { --core_->verifying; }
  CountedVerification(const CountedVerification&) = delete;
  CountedVerification& operator=(const CountedVerification&) = delete;

 private:
  CorePtr core_;
};

}  // namespace

std::string_view to_string(Holding holding) {
  switch (holding) {
    case Holding::holds:
      return "holds";
    case Holding::damaged:
      return "damaged";
    case Holding::missing:
      return "missing";
    case Holding::older:
      return "older";
    case Holding::newer:
      return "newer";
    case Holding::unreachable:
      break;
  }
  return "unreachable";
}

Task<Result<Verification>> verify_version(CorePtr core, Located located, std::string name) {
  if (core->verifying >= verifying_max) {
    co_return fail(Errc::busy, about("verify", name) + ": too many objects are being verified");
  }
  const CountedVerification counted(core);
  Examination examination(core, std::move(located));
  co_await examination.question();
  auto compared = co_await examination.compare();
  if (!compared) {
    co_return fail(Errc::no_quorum, about("verify", name) +
                                        ": no node gave bytes to compare the proofs with: " +
                                        compared.error().what + "; try again");
  }
  co_return examination.result();
}

}  // namespace zerodb
