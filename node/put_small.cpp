#include "node/put_small.hpp"

#include "node/condition.hpp"
#include "node/receipts.hpp"

namespace zerodb {
namespace {

Task<CommitResult> commit_here(CorePtr core, SignedPtr version, Payload sealed, CommitTerms terms) {
  const auto under_way = core->commit_window.begin(core->context.mesh.self());
  if (auto can = check_may_commit(core->context, terms.expected); !can) co_return fail(can.error());
  auto as_signed = [version]() -> Result<SignedPtr> { return version; };
  auto outcome = co_await core->commits.commit(as_signed, std::move(sealed), terms.expected);
  auto committed = to_committed(std::move(outcome));
  if (terms.receipt && committed && committed->stored) {
    committed->receipt = co_await make_receipt(core->context, version->wire());
  }
  co_return committed;
}

Task<CommitResult> commit_there(CorePtr core, NodeId node, SignedPtr version, Payload sealed,
                                CommitTerms terms) {
  const auto under_way = core->commit_window.begin(node);
  peer::PutInline request{.manifest = version->wire(), .expected = as_field(terms.expected)};
  if (terms.receipt) request.receipt = true;
  auto answer = co_await call(core->context.links, node, std::move(request), std::move(sealed),
                              core->options.call_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return std::move(answer->message);
}

CommitAt commit_inline_at(const CorePtr& core, Payload sealed, CommitTerms terms) {
  return [core, sealed = std::move(sealed), terms](NodeId node, SignedPtr version) {
    return core->is_self(node) ? commit_here(core, std::move(version), sealed, terms)
                               : commit_there(core, node, std::move(version), sealed, terms);
  };
}

}  // namespace

Task<Result<WriteReceipt>> put_small(CorePtr core, PutSpec spec, Payload plain) {
  if (plain.size() > inline_bytes_max) {
    co_return fail(Errc::invalid, about("put", spec.name) + ": too large to go in one message");
  }
  const auto condition = spec.condition;
  const bool receipts = spec.receipts;
  auto draft = make_draft(*core, std::move(spec));
  if (!draft) co_return fail("put", std::move(draft.error()));
  const auto placed = core->targets_for(draft->manifest.object);
  co_await core->commit_window.wait(placed.nodes());
  auto expected = co_await expected_by(core, "put", draft->part.name, condition);
  if (!expected) co_return fail(std::move(expected.error()));
  const CommitTerms terms{.expected = *expected, .receipt = receipts};
  draft->manifest.version = core->next_version(expected->value_or(Version{}));
  const auto begun = core->context.mesh.begin_work();
  auto targets = core->targets_for(draft->manifest.object);
  auto work = [&] { return seal_inline(*draft, *core->keys, plain.view()); };
  auto sealed = co_await offload(core->context.runtime, work);
  CommitPlan plan{.verb = "put",
                  .name = draft->part.name,
                  .mtime_ms = draft->part.mtime_ms,
                  .targets = std::move(targets),
                  .commit_at = commit_inline_at(core, std::move(sealed.sealed), terms),
                  .terms = terms};
  auto receipt = co_await commit_on_quorum(core, std::move(sealed.version), std::move(plan));
  if (receipt) core->counters.puts += 1;
  co_return receipt;
}

Task<Result<WriteReceipt>> put_tombstone(CorePtr core, std::string name, Version later_than,
                                         CommitTerms terms) {
  Draft draft;
  draft.part.name = name;
  auto& manifest = draft.manifest;
  manifest.object = core->object_of(name);
  const auto placed = core->targets_for(manifest.object);
  co_await core->commit_window.wait(placed.nodes());
  manifest.kind = ObjectKind::tombstone;
  manifest.layout.replicas = core->context.mesh.placement().replicas();
  core->context.runtime.random(manifest.blob_id.mutable_view());
  manifest.version = core->next_version(later_than);
  const auto begun = core->context.mesh.begin_work();
  auto targets = core->targets_for(manifest.object);
  auto work = [&] {
    manifest.sealed = seal_private_part(*core->keys, manifest, draft.part);
    return std::make_shared<const SignedManifest>(SignedManifest::sign(manifest, *core->keys));
  };
  auto version = co_await offload(core->context.runtime, work);
  CommitPlan plan{.verb = "delete",
                  .name = std::move(name),
                  .targets = std::move(targets),
                  .commit_at = commit_inline_at(core, {}, terms),
                  .terms = terms};
  auto receipt = co_await commit_on_quorum(core, std::move(version), std::move(plan));
  if (receipt) core->counters.removes += 1;
  co_return receipt;
}

}  // namespace zerodb
