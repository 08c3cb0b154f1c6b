// config.toml, as people edit it.
#include "node/config.hpp"
#include "tests/fuzz/target.hpp"

using namespace zerodb;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto config = parse_config(as_text({data, size}));
  if (!config) return 0;
  const auto again = config_text(*config);
  const auto same = parse_config(again);
  fuzz::require(same && config_text(*same) == again, "same settings");
  return 0;
}
