#include "node/confirm.hpp"

#include "node/entry_codec.hpp"

namespace zerodb {

namespace {

constexpr Milliseconds confirm_timeout{15'000};

Result<Held> look_up(Store& store, const Entry& entry) {
  const auto ours = store.latest(entry.object);
  if (!ours) return fail(ours.error());
  if (!*ours) return Held::nothing;
  // Whoever asks may drop the version next: it must be whole here.
  if (store.is_damaged((**ours)->binding())) return Held::older;
  const auto standing = std::pair((**ours)->version, (**ours).hash());
  return standing >= std::pair(entry.version, entry.hash) ? Held::held : Held::older;
}

Result<std::vector<Held>> decode_answers(ByteView payload, std::size_t count) {
  std::vector<Held> answers;
  for (const auto byte : payload) {
    if (byte > static_cast<std::uint8_t>(Held::held)) break;
    answers.push_back(static_cast<Held>(byte));
  }
  if (payload.size() == count && answers.size() == count) return answers;
  return fail(Errc::invalid, "confirm: answered with something else than one word for each of " +
                                 std::to_string(count) + " entries");
}

}  // namespace

Task<Result<std::vector<Held>>> ask_to_confirm(NodeContext context, NodeId node,
                                               std::vector<Entry> entries) {
  Bytes payload;
  for (const auto& entry : entries)
    append_entry(payload, entry);
  auto answer = co_await call(context.links, node, peer::Confirm{},
                              Payload::take(std::move(payload)), confirm_timeout);
  if (!answer) co_return fail(std::move(answer.error()));
  auto answers = decode_answers(answer->payload.view(), entries.size());
  if (!answers) co_return fail(context.mesh.describe(node), std::move(answers.error()));
  co_return answers;
}

Result<Confirmation> confirm_entries(Store& store, ByteView payload) {
  const auto entries = decode_entries(payload);
  if (!entries) return fail("confirm", Error(entries.error()));
  if (entries->size() > confirm_entries_max) {
    return fail(Errc::invalid, "confirm: " + std::to_string(entries->size()) + " entries, " +
                                   std::to_string(confirm_entries_max) + " at most");
  }
  Confirmation confirmation;
  for (const auto& entry : *entries) {
    const auto held = look_up(store, entry);
    if (!held) return fail(held.error());
    confirmation.payload.push_back(static_cast<std::uint8_t>(*held));
    if (*held != Held::held) confirmation.lacking.push_back(entry);
  }
  return confirmation;
}

}  // namespace zerodb
