#include "node/client_service.hpp"

namespace zerodb {

namespace {

constexpr std::uint32_t list_entries_max = 1000;
constexpr std::uint64_t share_expires_s_max = 3650ULL * 24 * 3600;
constexpr std::size_t resume_bytes = 16;

std::optional<Version> version_in(const std::optional<std::uint64_t>& field) {
  return field ? std::optional(Version{*field}) : std::nullopt;
}

PutSpec spec_of(client::Put request) {
  return {.name = std::move(request.key),
          .media_type = request.media_type.value_or(""),
          .mtime_ms = request.mtime_ms,
          .attributes = request.attributes.value_or(std::map<std::string, std::string>()),
          .condition = {.absent = request.if_absent.value_or(false),
                        .version = version_in(request.if_version)},
          .receipts = request.receipts.value_or(false)};
}

client::ObjectInfo info_of(const GetStream& stream) {
  const auto& manifest = stream.manifest();
  const auto& part = stream.info();
  return {.key = part.name,
          .size = manifest.size,
          .version = manifest.version.value,
          .media_type = part.media_type,
          .mtime_ms = part.mtime_ms,
          .attributes = part.attributes,
          .replicas = manifest.layout.replicas,
          .hashed_key = manifest.object.hashed_key.hex(),
          .blob_id = manifest.blob_id.hex()};
}

struct Range {
  std::uint64_t first = 0;
  std::uint64_t end = 0;
};

/// The bytes asked for, cut off at the object's end.
Result<Range> range_of(const WantedRange& wanted, std::uint64_t size) {
  const auto first = wanted.first.value_or(0);
  if (wanted.last && *wanted.last < first) {
    return fail(Errc::invalid, "a range that ends before it begins");
  }
  if (first > size || (first == size && size > 0)) {
    return fail(Errc::invalid, "the range begins at byte " + std::to_string(first) +
                                   ", but the object has " + std::to_string(size));
  }
  const auto end = wanted.last && *wanted.last < size ? *wanted.last + 1 : size;
  return Range{first, end};
}

}  // namespace

/// One request, by what it asks. What a node answers itself does not come here.
struct ClientService::Dispatch {
  ClientService& service;
  ClientId client;
  ClientIdentity identity;
  Payload payload;

  Reply operator()(client::Put& request) {
    return service.put(client, identity, std::move(request), std::move(payload));
  }
  Reply operator()(client::PutResume& request) {
    return service.put_resume(client, identity, std::move(request));
  }
  Reply operator()(client::PutData& request) {
    return service.put_data(client, request, std::move(payload));
  }
  Reply operator()(client::PutEnd& request) { return service.put_end(client, request); }
  Reply operator()(client::PutAbort& request) { return service.put_abort(client, request); }
  Reply operator()(client::Get& request) {
    return service.get(client, identity, std::move(request));
  }
  Reply operator()(client::GetData& request) { return service.get_data(client, request); }
  Reply operator()(client::GetEnd& request) { return service.get_end(client, request); }
  Reply operator()(client::GetShared& request) {
    return service.get_shared(client, identity, std::move(request));
  }
  Reply operator()(client::Share& request) { return service.share(std::move(request)); }
  Reply operator()(client::Stat& request) { return service.stat(std::move(request)); }
  Reply operator()(client::List& request) { return service.list(std::move(request)); }
  Reply operator()(client::Delete& request) { return service.remove(std::move(request)); }
  Reply operator()(client::Verify& request) { return service.verify(std::move(request)); }
  template <class Other>
  Reply operator()(Other&) {
    return refuse();
  }

  static Reply refuse() { co_return fail(Errc::invalid, "not a command about objects"); }
};

ClientService::ClientService(NodeContext context, std::function<std::shared_ptr<Gateway>()> gateway,
                             ClientServiceOptions options)
    : context_(context),
      gateway_(std::move(gateway)),
      options_(options),
      sessions_(context.runtime, options.sessions) {}

ClientService::~ClientService() = default;

Task<Result<ClientAnswer>> ClientService::handle(ClientId client, ClientIdentity identity,
                                                 client::Request request, Payload payload) {
  if (!gateway_()) {
    co_return fail(Errc::denied,
                   "this node holds no owner's key, so it can neither read nor write objects; ask "
                   "one of the owner's gateways");
  }
  Dispatch dispatch{*this, client, identity, std::move(payload)};
  co_return co_await std::visit(dispatch, request);
}

// ----------------------------------------------------------------------------------------- put

Task<Result<ClientAnswer>> ClientService::put(ClientId client, ClientIdentity identity,
                                              client::Put request, Payload payload) {
  if (auto valid = check_name(request.key); !valid) co_return fail(std::move(valid.error()));
  const auto size = request.size;
  const bool whole = size && *size == payload.size() && *size <= inline_bytes_max;
  if (!whole && !payload.empty()) {
    co_return fail(Errc::invalid, "put '" + printable(request.key) +
                                      "': " + std::to_string(payload.size()) +
                                      " bytes came with a put that says " +
                                      (size ? std::to_string(*size) : "nothing") + " of its size");
  }
  auto spec = spec_of(request);
  if (!whole) co_return co_await open_upload(client, identity, request, std::move(spec));
  const auto gateway = gateway_();
  const auto begun_us = context_.runtime.steady_us();
  auto receipt = co_await gateway->put_small(std::move(spec), std::move(payload));
  if (!receipt) co_return fail(std::move(receipt.error()));
  small_puts_.add(context_.runtime.steady_us() - begun_us);
  co_return ClientAnswer{stored_reply(*receipt), {}};
}

Task<Result<ClientAnswer>> ClientService::open_upload(ClientId client, ClientIdentity identity,
                                                      const client::Put& request, PutSpec spec) {
  auto session = std::make_shared<UploadSession>(context_.runtime);
  session->client = identity;
  session->gateway = gateway_();
  session->name = spec.name;
  session->size = request.size;
  session->credit =
      identity.credential ? options_.remote_upload_credit_bytes : options_.upload_credit_bytes;
  const auto added = sessions_.add(client, session);
  if (!added) co_return fail(added.error());
  const auto id = *added;
  auto stream = co_await session->gateway->put(std::move(spec));
  if (!stream) {
    sessions_.end_upload(client, id);
    co_return fail(std::move(stream.error()));
  }
  session->stream = std::move(*stream);
  if (!sessions_.upload(client, id)) co_return fail(Errc::not_found, "the client went away");
  auto reply = upload_reply(id, *session);
  if (request.resumable.value_or(false)) {
    session->resume.resize(resume_bytes);
    context_.runtime.random(session->resume);
    reply.resume = session->resume;
  }
  co_return ClientAnswer{std::move(reply), {}};
}

client::Upload ClientService::upload_reply(std::uint64_t upload, const UploadSession& session) {
  return {.upload = upload, .credit = session.credit, .chunk_bytes = chunk_bytes_max};
}

Task<Result<ClientAnswer>> ClientService::put_resume(ClientId client, ClientIdentity identity,
                                                     client::PutResume request) {
  const auto id = sessions_.take_over(client, identity, request.resume);
  if (!id) co_return fail(id.error());
  const auto session = *sessions_.upload(client, *id);
  const InUse in_use(*session, context_.runtime);
  while (session->unanswered > 0)
    co_await session->written.wait();
  auto reply = upload_reply(*id, *session);
  reply.resume = session->resume;
  reply.offset = session->received;
  co_return ClientAnswer{std::move(reply), {}};
}

Task<Result<ClientAnswer>> ClientService::put_data(ClientId client, client::PutData request,
                                                   Payload payload) {
  auto found = sessions_.upload(client, request.upload);
  if (!found) co_return fail(std::move(found.error()));
  const auto session = std::move(*found);
  const InUse in_use(*session, context_.runtime);
  if (payload.empty()) co_return ClientAnswer{upload_reply(request.upload, *session), {}};
  if (request.offset != session->received) {
    co_return fail(Errc::invalid, "put '" + printable(session->name) + "': data for offset " +
                                      std::to_string(request.offset) + ", but " +
                                      std::to_string(session->received) + " bytes came before");
  }
  const auto bytes = payload.size();
  if (session->unanswered + bytes > session->credit) {
    co_return fail(Errc::busy, "put '" + printable(session->name) +
                                   "': more data at once than the credit given");
  }
  session->last_bytes_ms = context_.runtime.steady_ms();
  session->received += bytes;
  session->unanswered += bytes;
  auto written = co_await session->stream->write(std::move(payload));
  session->unanswered -= bytes;
  session->written.notify();
  if (!written) co_return fail(std::move(written.error()));
  co_return ClientAnswer{upload_reply(request.upload, *session), {}};
}

Task<Result<ClientAnswer>> ClientService::put_end(ClientId client, client::PutEnd request) {
  auto found = sessions_.upload(client, request.upload);
  if (!found) co_return fail(std::move(found.error()));
  const auto session = std::move(*found);
  // Used up from here on, whatever comes of it.
  sessions_.end_upload(client, request.upload);
  if (session->gateway != gateway_()) {
    co_return fail(Errc::denied, "put '" + printable(session->name) +
                                     "': this node's owner key was replaced meanwhile");
  }
  if (session->size && *session->size != session->received) {
    co_return fail(Errc::invalid,
                   "put '" + printable(session->name) + "': " + std::to_string(session->received) +
                       " bytes came, not the " + std::to_string(*session->size) + " announced");
  }
  auto receipt = co_await session->stream->finish(request.size);
  if (!receipt) co_return fail(std::move(receipt.error()));
  co_return ClientAnswer{stored_reply(*receipt), {}};
}

Task<Result<ClientAnswer>> ClientService::put_abort(ClientId client, client::PutAbort request) {
  if (auto found = sessions_.upload(client, request.upload)) {
    (*found)->stream.reset();  // writes still waiting in it end with that
    sessions_.end_upload(client, request.upload);
  }
  co_return ClientAnswer{client::Ok{}, {}};
}

std::string ClientService::name_of(const NodeId& node) const {
  const auto* member = context_.mesh.roster().find(node);
  return member != nullptr ? member->name : node.short_hex();
}

client::Stored ClientService::stored_reply(const WriteReceipt& receipt) const {
  client::Stored stored{.version = receipt.version.value,
                        .size = receipt.size,
                        .copies = receipt.copies,
                        .wanted = receipt.wanted};
  for (const auto& node : receipt.missing)
    stored.missing.push_back(name_of(node));
  if (receipt.manifest.empty()) return stored;
  stored.manifest = receipt.manifest;
  auto& receipts = stored.receipts.emplace();
  for (const auto& [node, time_ms, signature] : receipt.receipts) {
    const auto* member = context_.mesh.roster().find(node);
    receipts.push_back({.node = node,
                        .node_name = name_of(node),
                        .sign_key = member != nullptr ? member->sign_key : SignKey(),
                        .time_ms = time_ms,
                        .signature = signature});
  }
  return stored;
}

// ----------------------------------------------------------------------------------------- get

Task<Result<ClientAnswer>> ClientService::get(ClientId client, ClientIdentity identity,
                                              client::Get request) {
  const auto gateway = gateway_();
  auto opened = co_await gateway->get(request.key);
  if (!opened) co_return fail(std::move(opened.error()));
  const WantedRange wanted{request.first, request.last};
  co_return co_await read(client, identity, std::move(*opened), wanted);
}

Task<Result<ClientAnswer>> ClientService::get_shared(ClientId client, ClientIdentity identity,
                                                     client::GetShared request) {
  auto link = parse_share_link(request.link);
  if (!link) co_return fail(std::move(link.error()));
  const auto gateway = gateway_();
  auto opened = co_await gateway->get_shared(std::move(*link));
  if (!opened) co_return fail(std::move(opened.error()));
  const WantedRange wanted{request.first, request.last};
  co_return co_await read(client, identity, std::move(*opened), wanted);
}

/// Answers with all that is wanted if it is little; else opens a download.
Task<Result<ClientAnswer>> ClientService::read(ClientId client, ClientIdentity identity,
                                               std::unique_ptr<GetStream> stream,
                                               WantedRange wanted) {
  auto range = range_of(wanted, stream->manifest().size);
  if (!range) {
    co_return fail("get '" + printable(stream->info().name) + "'", std::move(range.error()));
  }
  auto info = info_of(*stream);
  info.first = range->first;
  info.length = range->end - range->first;
  if (*info.length <= inline_bytes_max) {
    auto bytes = co_await stream->read(range->first, static_cast<std::uint32_t>(*info.length));
    if (!bytes) co_return fail(std::move(bytes.error()));
    co_return ClientAnswer{std::move(info), std::move(*bytes)};
  }
  const auto session = std::make_shared<DownloadSession>();
  session->client = identity;
  session->stream = std::move(stream);
  session->first = range->first;
  session->end = range->end;
  const auto added = sessions_.add(client, session);
  if (!added) co_return fail(added.error());
  session->stream->expect_until(range->end);
  info.download = *added;
  info.chunk_bytes = chunk_bytes_max;
  co_return ClientAnswer{std::move(info), {}};
}

Task<Result<ClientAnswer>> ClientService::get_data(ClientId client, client::GetData request) {
  auto found = sessions_.download(client, request.download);
  if (!found) co_return fail(std::move(found.error()));
  const auto session = std::move(*found);
  if (session->busy >= options_.reads_per_download_max) {
    co_return fail(Errc::busy, "too many reads of one download at once");
  }
  const InUse in_use(*session, context_.runtime);
  if (request.offset < session->first || request.offset > session->end) {
    co_return fail(Errc::invalid, "offset " + std::to_string(request.offset) +
                                      " lies outside of the range that was granted");
  }
  const auto length = static_cast<std::uint32_t>(
      std::min<std::uint64_t>({request.length, session->end - request.offset, chunk_bytes_max}));
  auto bytes = co_await session->stream->read(request.offset, length);
  if (!bytes) co_return fail(std::move(bytes.error()));
  co_return ClientAnswer{client::GetData::Reply{.offset = request.offset}, std::move(*bytes)};
}

Task<Result<ClientAnswer>> ClientService::get_end(ClientId client, client::GetEnd request) {
  sessions_.end_download(client, request.download);
  co_return ClientAnswer{client::Ok{}, {}};
}

Task<Result<ClientAnswer>> ClientService::share(client::Share request) {
  if (request.expires_s == 0 || request.expires_s > share_expires_s_max) {
    co_return fail(Errc::invalid, "share: a link is good for 1 second to " +
                                      std::to_string(share_expires_s_max) + ", not for " +
                                      std::to_string(request.expires_s));
  }
  const auto gateway = gateway_();
  const auto expires_ms = context_.runtime.now_ms() + request.expires_s * 1000;
  auto link = co_await gateway->share(std::move(request.key), expires_ms);
  if (!link) co_return fail(std::move(link.error()));
  co_return ClientAnswer{client::Text{std::move(*link)}, {}};
}

Task<Result<ClientAnswer>> ClientService::stat(client::Stat request) {
  const auto gateway = gateway_();
  auto opened = co_await gateway->get(std::move(request.key));
  if (!opened) co_return fail(std::move(opened.error()));
  co_return ClientAnswer{info_of(**opened), {}};
}

// ---------------------------------------------------------------------------- list and delete

Task<Result<ClientAnswer>> ClientService::list(client::List request) {
  const auto gateway = gateway_();
  ListQuery query{.prefix = std::move(request.prefix),
                  .after = std::move(request.after),
                  .limit = std::clamp(request.limit, 1U, list_entries_max)};
  auto page = co_await gateway->list(std::move(query));
  if (!page) co_return fail(std::move(page.error()));
  client::List::Reply reply{.more = page->more};
  for (auto& entry : page->entries) {
    reply.entries.push_back({.key = std::move(entry.name),
                             .size = entry.size,
                             .version = entry.version.value,
                             .mtime_ms = entry.mtime_ms});
  }
  co_return ClientAnswer{std::move(reply), {}};
}

Task<Result<ClientAnswer>> ClientService::remove(client::Delete request) {
  const auto gateway = gateway_();
  auto receipt = co_await gateway->remove(
      std::move(request.key),
      {.only = version_in(request.if_version), .receipts = request.receipts.value_or(false)});
  if (!receipt) co_return fail(std::move(receipt.error()));
  co_return ClientAnswer{stored_reply(*receipt), {}};
}

// -------------------------------------------------------------------------------------- verify

Task<Result<ClientAnswer>> ClientService::verify(client::Verify request) {
  const auto gateway = gateway_();
  auto verification = co_await gateway->verify(request.key);
  if (!verification) co_return fail(std::move(verification.error()));
  client::Verify::Reply reply{.key = std::move(request.key),
                              .version = verification->version.value,
                              .size = verification->size,
                              .chunks = verification->chunks,
                              .chunks_asked = verification->chunks_asked,
                              .moving = verification->moving};
  for (auto& proof : verification->nodes) {
    reply.nodes.push_back({.id = proof.node.hex(),
                           .node_name = name_of(proof.node),
                           .state = std::string(to_string(proof.holding)),
                           .ms = proof.took_ms,
                           .what = std::move(proof.what)});
  }
  co_return ClientAnswer{std::move(reply), {}};
}

}  // namespace zerodb
