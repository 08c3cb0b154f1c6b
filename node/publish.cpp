#include "node/publish.hpp"

namespace zerodb {
namespace {

constexpr std::size_t spreading_max = 1'000;
constexpr Milliseconds spread_pause{5'000};  // by then those who heard of it have come for it

Task<void> end_spreading(CorePtr core, ManifestHash version) {
  co_await core->context.runtime.sleep(spread_pause);
  core->spreading.erase(version);
}

}  // namespace

void announce(GatewayCore& core, const SignedManifest& version) {
  const auto& object = version->object;
  if (version->is_tombstone()) {
    core.context.links.publish(object, broadcast::Delete{.manifest = version.wire()});
  } else {
    core.context.links.publish(object, broadcast::Store{.manifest = version.wire()});
  }
}

bool spread(const CorePtr& core, const SignedManifest& version,
            const std::vector<NodeId>& holders) {
  if (core->spreading.size() >= spreading_max) return false;
  if (!core->spreading.insert(version.hash()).second) return false;
  const auto holder =
      std::ranges::find_if(holders, [&](const NodeId& node) { return !core->is_self(node); });
  const auto& tell = core->options.on_found;
  if (tell && holder != holders.end()) tell(*holder, version.wire());
  announce(*core, version);
  spawn(core->context.runtime, end_spreading(core, version.hash()));
  return true;
}

}  // namespace zerodb
