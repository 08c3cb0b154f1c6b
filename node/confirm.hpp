#pragma once
// Asking other nodes whether they hold certain versions, before this node drops its own copy; and
// answering. What is asked is a page of entries; see PROTOCOL.md. One thread: the node's executor.

#include "node/node_context.hpp"

namespace zerodb {

enum class Held : std::uint8_t {
  nothing = 0,
  older = 1,  ///< only an older version of the object
  held = 2,   ///< the version, or a later one
};

inline constexpr std::size_t confirm_entries_max = 1000;

/// One answer for each entry, in order. `invalid` if the node answers anything else.
Task<Result<std::vector<Held>>> ask_to_confirm(NodeContext context, NodeId node,
                                               std::vector<Entry> entries);

/// Those of `entries` to which every one of `nodes` answered what `good` accepts. An error if one
/// does not answer.
template <class Good>
Task<Result<std::vector<Entry>>> confirmed_by_all(NodeContext context, std::vector<NodeId> nodes,
                                                  std::vector<Entry> entries, Good good) {
  for (const auto& node : nodes) {
    if (entries.empty()) break;
    auto answers = co_await ask_to_confirm(context, node, entries);
    if (!answers) co_return fail(std::move(answers.error()));
    std::vector<Entry> kept;
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (good((*answers)[i])) kept.push_back(entries[i]);
    }
    entries = std::move(kept);
  }
  co_return entries;
}

/// The payload of an answer, and the versions that are not held here, nor any later ones.
struct Confirmation {
  Bytes payload;
  std::vector<Entry> lacking;
};
/// Blocking. `invalid` if the payload is no page of entries.
Result<Confirmation> confirm_entries(Store& store, ByteView payload);

}  // namespace zerodb
