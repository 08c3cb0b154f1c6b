#include "node/condition.hpp"

namespace zerodb {

Task<Result<Expected>> expected_by(CorePtr core, std::string_view verb, std::string name,
                                   WriteCondition condition) {
  if (!condition.is_set()) co_return Expected();
  if (condition.absent && condition.version) {
    co_return fail(Errc::invalid, about(verb, name) + ": if_version and if_absent at once");
  }
  auto located = co_await locate(core, core->object_of(name), about(verb, name));
  if (!located) co_return fail(std::move(located.error()));
  const auto* standing = *located ? &(*located)->version->manifest() : nullptr;
  const bool exists = standing != nullptr && !standing->is_tombstone();
  if (condition.version && !exists) {
    co_return fail(Errc::conflict, about(verb, name) + ": there is no such object, and version " +
                                       std::to_string(condition.version->value) + " was expected");
  }
  if (exists && condition.version != standing->version) {
    co_return another_stands(verb, name, **located, condition.version);
  }
  co_return Expected(standing != nullptr ? standing->version : Version{});
}

tl::unexpected<Error> another_stands(std::string_view verb, std::string_view name,
                                     const Located& standing, std::optional<Version> expected) {
  if (standing.doubt) return fail(*standing.doubt);
  const auto version = standing.version->manifest().version;
  const auto stands =
      about(verb, name) + ": version " + std::to_string(version.value) + " stands, ";
  return fail(Errc::conflict, expected
                                  ? stands + "not the expected " + std::to_string(expected->value)
                                  : stands + "and no object was expected");
}

}  // namespace zerodb
