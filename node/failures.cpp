#include "node/failures.hpp"

namespace zerodb {

std::string describe(const GatewayCore& core, const std::vector<Failure>& failures) {
  std::string text;
  for (const auto& [node, error] : failures) {
    if (!text.empty()) text += "; ";
    text += core.is_self(node) ? "this node" : core.context.mesh.describe(node);
    text += error ? ": " + error->what : " is down";
  }
  return text;
}

Error too_few_replicas(const GatewayCore& core, std::string doing, const Targets::Count& can,
                       const std::vector<Failure>& failures) {
  if (can.of == 1 && failures.size() == 1 && failures[0].error) {
    return {failures[0].error->code, std::move(doing) + ": " + failures[0].error->what};
  }
  const auto full =
      static_cast<std::size_t>(std::ranges::count_if(failures, [](const Failure& failure) {
        return failure.error && failure.error->code == Errc::full;
      }));
  const bool space = can.good + full >= can.needed;
  auto text = std::move(doing) + ": only " + std::to_string(can.good) + " of " +
              std::to_string(can.of) + " replicas can take it, and " + std::to_string(can.needed) +
              " must: " + describe(core, failures);
  text += space ? "; free some space there, then try again"
                : "; start or reach those nodes, then try again";
  return {space ? Errc::full : Errc::no_quorum, std::move(text)};
}

}  // namespace zerodb
