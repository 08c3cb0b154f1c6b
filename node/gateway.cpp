#include "node/gateway.hpp"

#include "node/get_stream.hpp"
#include "node/put_small.hpp"
#include "node/put_stream.hpp"
#include "node/verify.hpp"

namespace zerodb {
namespace {

constexpr std::uint64_t clock_agrees_within_ms = 20'000;  // well below what replicas refuse

tl::unexpected<Error> not_there(std::string_view verb, std::string_view name) {
  return fail(Errc::not_found, about(verb, name) + ": there is no such object");
}

/// The version that stands, if it is not a deletion.
Task<Result<Located>> find_object(CorePtr core, std::string_view verb, std::string name) {
  if (auto valid = check_name(name); !valid) co_return fail(verb, std::move(valid.error()));
  auto located = co_await locate(core, verb, name);
  if (!located) co_return fail(std::move(located.error()));
  if (!*located || (*located)->version->manifest().is_tombstone()) co_return not_there(verb, name);
  co_return std::move(**located);
}

// Calls hold the core by value, as they may outlive the gateway that began them.

Task<Result<std::unique_ptr<GetStream>>> get_object(CorePtr core, std::string name) {
  auto located = co_await find_object(core, "get", std::move(name));
  if (!located) co_return fail(std::move(located.error()));
  core->counters.gets += 1;
  co_return open_get_stream(core, std::move(*located));
}

Task<Result<WriteReceipt>> remove_object(CorePtr core, std::string name, bool receipts) {
  auto located = co_await find_object(core, "delete", name);
  if (!located) co_return fail(std::move(located.error()));
  co_return co_await put_tombstone(core, std::move(name), located->version->manifest().version,
                                   receipts);
}

Task<Result<Verification>> verify_object(CorePtr core, std::string name) {
  auto located = co_await find_object(core, "verify", name);
  if (!located) co_return fail(std::move(located.error()));
  co_return co_await verify_version(core, std::move(*located), std::move(name));
}

Task<Result<std::unique_ptr<PutStream>>> begin_put(CorePtr core, PutSpec spec) {
  co_return open_put_stream(std::move(core), std::move(spec));
}

Task<Result<ListPage>> list_page(CorePtr core, ListQuery query) {
  co_return co_await core->catalogue.page(std::move(query));
}

}  // namespace

Gateway::Gateway(NodeContext context, OwnerKeys keys, GatewayOptions options, OpenNames open_names)
    : core_(std::make_shared<GatewayCore>(context, std::move(keys), options,
                                          std::move(open_names))) {}

Gateway::~Gateway() = default;

const OwnerKeys& Gateway::keys() const {
  return *core_->keys;
}

Task<Result<WriteReceipt>> Gateway::put_small(PutSpec spec, Payload plain) {
  return zerodb::put_small(core_, std::move(spec), std::move(plain));
}

Task<Result<std::unique_ptr<PutStream>>> Gateway::put(PutSpec spec) {
  return begin_put(core_, std::move(spec));
}

Task<Result<std::unique_ptr<GetStream>>> Gateway::get(std::string name) {
  return get_object(core_, std::move(name));
}

Task<Result<WriteReceipt>> Gateway::remove(std::string name, bool receipts) {
  return remove_object(core_, std::move(name), receipts);
}

Task<Result<Verification>> Gateway::verify(std::string name) {
  return verify_object(core_, std::move(name));
}

Task<Result<ListPage>> Gateway::list(ListQuery query) {
  return list_page(core_, std::move(query));
}

void Gateway::on_have(NodeId from, const peer::Have& answer) {
  zerodb::on_have(*core_, from, answer);
}

void Gateway::on_news(ByteView manifest) {
  core_->catalogue.on_news(manifest);
}

void Gateway::on_peer_time(std::uint64_t their_ms) {
  auto& runtime = core_->context.runtime;
  const auto now_ms = runtime.now_ms();
  const auto apart_ms = now_ms > their_ms ? now_ms - their_ms : their_ms - now_ms;
  if (apart_ms < clock_agrees_within_ms) core_->clock_confirmed_ms = runtime.steady_ms();
}

void Gateway::tend() {
  core_->catalogue.tend();
}

const GatewayCounters& Gateway::counters() const {
  return core_->counters;
}

}  // namespace zerodb
