#include "node/gateway.hpp"

#include "node/condition.hpp"
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
  auto located = co_await locate(core, core->object_of(name), about(verb, name));
  if (!located) co_return fail(std::move(located.error()));
  if (!*located || (*located)->version->manifest().is_tombstone()) co_return not_there(verb, name);
  co_return std::move(**located);
}

// Calls hold the core by value, as they may outlive the gateway that began them.

Task<Result<std::unique_ptr<GetStream>>> get_object(CorePtr core, std::string name) {
  auto located = co_await find_object(core, "get", std::move(name));
  if (!located) co_return fail(std::move(located.error()));
  auto part = open_private_part(*core->keys, located->version->manifest());
  if (!part) co_return fail("get", std::move(part.error()));
  core->counters.gets += 1;
  co_return open_get_stream(core, std::move(*located), std::move(*part));
}

Task<Result<std::string>> share_object(CorePtr core, std::string name, std::uint64_t expires_ms) {
  auto located = co_await find_object(core, "share", name);
  if (!located) co_return fail(std::move(located.error()));
  const auto& version = *located->version;
  auto part = open_private_part(*core->keys, version.manifest());
  if (!part) co_return fail(about("share", name), std::move(part.error()));
  const ShareLink link{.object = version->object,
                       .version = version.hash(),
                       .expires_ms = expires_ms,
                       .part = std::move(*part)};
  co_return share_link_text(link, *core->keys);
}

Task<Result<std::unique_ptr<GetStream>>> get_shared_object(CorePtr core, ShareLink link) {
  const auto purpose = about("get", link.part.name);
  if (auto valid = check_not_expired(link, core->context.runtime.now_ms()); !valid) {
    co_return fail(purpose, std::move(valid.error()));
  }
  auto located = co_await locate(core, link.object, purpose);
  if (!located) co_return fail(std::move(located.error()));
  if (!*located || (*located)->version->hash() != link.version) {
    if (*located && (*located)->doubt) co_return fail(*(*located)->doubt);
    co_return fail(Errc::not_found,
                   purpose + ": it was deleted or replaced since the link was made");
  }
  if (!commitment_holds((*located)->version->manifest(), link.part.content_key)) {
    co_return fail(Errc::corrupt, purpose + ": the link's key is not this version's");
  }
  core->counters.gets += 1;
  co_return open_get_stream(core, std::move(**located), std::move(link.part));
}

Task<Result<WriteReceipt>> remove_object(CorePtr core, std::string name, RemoveSpec spec) {
  auto located = co_await find_object(core, "delete", name);
  if (!located) co_return fail(std::move(located.error()));
  const auto standing = located->version->manifest().version;
  if (spec.only && *spec.only != standing) {
    co_return another_stands("delete", name, *located, spec.only);
  }
  co_return co_await put_tombstone(core, std::move(name), standing,
                                   {.expected = spec.only, .receipt = spec.receipts});
}

Task<Result<Verification>> verify_object(CorePtr core, std::string name) {
  auto located = co_await find_object(core, "verify", name);
  if (!located) co_return fail(std::move(located.error()));
  co_return co_await verify_version(core, std::move(*located), std::move(name));
}

Task<Result<std::unique_ptr<PutStream>>> begin_put(CorePtr core, PutSpec spec) {
  if (auto valid = check_name(spec.name); !valid) co_return fail("put", std::move(valid.error()));
  // Seen again at the end; said now, it spares a client the sending.
  auto expected = co_await expected_by(core, "put", spec.name, spec.condition);
  if (!expected) co_return fail(std::move(expected.error()));
  co_return open_put_stream(std::move(core), std::move(spec));
}

Task<Result<NamePage>> list_page(CorePtr core, ListQuery query) {
  co_return co_await core->catalogue.page(std::move(query));
}

}  // namespace

Gateway::Gateway(NodeContext context, OwnerKeys keys, GatewayOptions options, OpenNames open_names,
                 FollowersFile followers)
    : core_(std::make_shared<GatewayCore>(context, std::move(keys), options, std::move(open_names),
                                          std::move(followers))) {}

/// Coroutines may hold the core for longer than what it works with lives.
Gateway::~Gateway() {
  core_->commit_window.close();
}

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

Task<Result<std::string>> Gateway::share(std::string name, std::uint64_t expires_ms) {
  return share_object(core_, std::move(name), expires_ms);
}

Task<Result<std::unique_ptr<GetStream>>> Gateway::get_shared(ShareLink link) {
  return get_shared_object(core_, std::move(link));
}

Task<Result<WriteReceipt>> Gateway::remove(std::string name, RemoveSpec spec) {
  return remove_object(core_, std::move(name), spec);
}

Task<Result<Verification>> Gateway::verify(std::string name) {
  return verify_object(core_, std::move(name));
}

Task<Result<NamePage>> Gateway::list(ListQuery query) {
  return list_page(core_, std::move(query));
}

Task<Result<EventPage>> Gateway::events(EventQuery query) {
  return core_->catalogue.events(std::move(query));
}

Task<void> Gateway::follow() {
  return core_->catalogue.follow();
}

bool Gateway::is_followed() const {
  return core_->catalogue.is_followed();
}

Wakeup& Gateway::events_changed() {
  return core_->catalogue.changed();
}

std::uint64_t Gateway::events_revision() const {
  return core_->catalogue.revision();
}

Followers& Gateway::followers() {
  return core_->followers;
}

void Gateway::on_link_up() {
  core_->catalogue.on_link_up();
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
  if (apart_ms < clock_agrees_within_ms) core_->confirm_clock(core_->moment());
}

void Gateway::tend() {
  core_->catalogue.tend();
}

void Gateway::stop() {
  core_->catalogue.stop();
}

const GatewayCounters& Gateway::counters() const {
  return core_->counters;
}

std::size_t Gateway::put_chunks() const {
  return core_->put_chunks;
}

std::size_t Gateway::chunks_kept() const {
  return core_->chunks_kept;
}

}  // namespace zerodb
