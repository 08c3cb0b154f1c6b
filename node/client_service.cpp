#include "node/client_service.hpp"

namespace zerodb {

// Sessions are shared with the requests that are under way in them, which may outlast the client.

struct ClientService::UploadSession {
  std::shared_ptr<Gateway> gateway;
  std::unique_ptr<PutStream> stream;
  std::string name;
  std::optional<std::uint64_t> size;  ///< as the client announced it
  std::uint64_t received = 0;
  std::uint64_t unanswered = 0;  ///< bytes of those
  std::uint64_t last_used_ms = 0;
  std::size_t busy = 0;  ///< requests under way
};

struct ClientService::DownloadSession {
  std::unique_ptr<GetStream> stream;
  std::uint64_t end = 0;  ///< of the range granted
  std::uint64_t first = 0;
  std::uint64_t last_used_ms = 0;
  std::size_t busy = 0;
};

namespace {

constexpr std::uint32_t list_entries_max = 1000;

/// Counts a request in its session for as long as it lasts.
class InUse {
 public:
  InUse(std::size_t& busy, std::uint64_t& last_used_ms, Runtime& runtime)
      : busy_(busy), last_used_ms_(last_used_ms), runtime_(runtime) {
    ++busy_;
    last_used_ms_ = runtime_.steady_ms();
  }
  ~InUse() {
    --busy_;
    last_used_ms_ = runtime_.steady_ms();
  }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  std::size_t& busy_;
  std::uint64_t& last_used_ms_;
  Runtime& runtime_;
};

PutSpec spec_of(client::Put request) {
  return {.name = std::move(request.key),
          .media_type = request.media_type.value_or(""),
          .mtime_ms = request.mtime_ms,
          .attributes = request.attributes.value_or(std::map<std::string, std::string>())};
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
Result<Range> range_of(const client::Get& request, std::uint64_t size) {
  const auto first = request.first.value_or(0);
  if (request.last && *request.last < first) {
    return fail(Errc::invalid, "a range that ends before it begins");
  }
  if (first > size || (first == size && size > 0)) {
    return fail(Errc::invalid, "the range begins at byte " + std::to_string(first) +
                                   ", but the object has " + std::to_string(size));
  }
  const auto end = request.last && *request.last < size ? *request.last + 1 : size;
  return Range{first, end};
}

}  // namespace

/// One request, by what it asks. What a node answers itself does not come here.
struct ClientService::Dispatch {
  ClientService& service;
  ClientId client;
  Payload payload;

  Reply operator()(client::Put& request) {
    return service.put(client, std::move(request), std::move(payload));
  }
  Reply operator()(client::PutData& request) {
    return service.put_data(client, request, std::move(payload));
  }
  Reply operator()(client::PutEnd& request) { return service.put_end(client, request); }
  Reply operator()(client::PutAbort& request) { return service.put_abort(client, request); }
  Reply operator()(client::Get& request) { return service.get(client, std::move(request)); }
  Reply operator()(client::GetData& request) { return service.get_data(client, request); }
  Reply operator()(client::GetEnd& request) { return service.get_end(client, request); }
  Reply operator()(client::Stat& request) { return service.stat(std::move(request)); }
  Reply operator()(client::List& request) { return service.list(std::move(request)); }
  Reply operator()(client::Delete& request) { return service.remove(std::move(request)); }
  template <class Other>
  Reply operator()(Other&) {
    return refuse();
  }

  static Reply refuse() { co_return fail(Errc::invalid, "not a command about objects"); }
};

ClientService::ClientService(NodeContext context, std::function<std::shared_ptr<Gateway>()> gateway,
                             ClientServiceOptions options)
    : context_(context), gateway_(std::move(gateway)), options_(options) {}

ClientService::~ClientService() = default;

Task<Result<ClientAnswer>> ClientService::handle(ClientId client, client::Request request,
                                                 Payload payload) {
  if (!gateway_()) {
    co_return fail(Errc::denied,
                   "this node holds no owner's key, so it can neither read nor write objects; ask "
                   "one of the owner's gateways");
  }
  Dispatch dispatch{*this, client, std::move(payload)};
  co_return co_await std::visit(dispatch, request);
}

// ----------------------------------------------------------------------------------------- put

Task<Result<ClientAnswer>> ClientService::put(ClientId client, client::Put request,
                                              Payload payload) {
  if (auto valid = check_name(request.key); !valid) co_return fail(std::move(valid.error()));
  const auto size = request.size;
  const bool whole = size && *size == payload.size() && *size <= inline_bytes_max;
  if (!whole && !payload.empty()) {
    co_return fail(Errc::invalid, "put '" + printable(request.key) +
                                      "': " + std::to_string(payload.size()) +
                                      " bytes came with a put that says " +
                                      (size ? std::to_string(*size) : "nothing") + " of its size");
  }
  auto spec = spec_of(std::move(request));
  if (!whole) co_return co_await open_upload(client, std::move(spec), size);
  const auto gateway = gateway_();
  const auto begun_us = context_.runtime.steady_us();
  auto receipt = co_await gateway->put_small(std::move(spec), std::move(payload));
  if (!receipt) co_return fail(std::move(receipt.error()));
  small_puts_.add(context_.runtime.steady_us() - begun_us);
  co_return ClientAnswer{stored_reply(*receipt), {}};
}

Task<Result<ClientAnswer>> ClientService::open_upload(ClientId client, PutSpec spec,
                                                      std::optional<std::uint64_t> size) {
  if (clients_[client].uploads.size() >= options_.uploads_per_client_max ||
      uploads_ >= options_.uploads_max) {
    co_return fail(Errc::busy, "too many uploads are open; end one, then try again");
  }
  ++uploads_;
  auto session = std::make_shared<UploadSession>();
  session->gateway = gateway_();
  session->name = spec.name;
  session->size = size;
  session->last_used_ms = context_.runtime.steady_ms();
  const auto id = ++last_session_;
  clients_[client].uploads[id] = session;
  auto stream = co_await session->gateway->put(std::move(spec));
  if (stream) {
    session->stream = std::move(*stream);
    co_return ClientAnswer{upload_reply(id), {}};
  }
  if (clients_[client].uploads.erase(id) != 0) --uploads_;
  co_return fail(std::move(stream.error()));
}

client::Upload ClientService::upload_reply(std::uint64_t upload) const {
  return {.upload = upload, .credit = options_.upload_credit_bytes, .chunk_bytes = chunk_bytes_max};
}

Result<std::shared_ptr<ClientService::UploadSession>> ClientService::upload_of(
    ClientId client, std::uint64_t upload) {
  const auto known = clients_.find(client);
  if (known != clients_.end()) {
    const auto found = known->second.uploads.find(upload);
    if (found != known->second.uploads.end() && found->second->stream) return found->second;
  }
  return fail(Errc::not_found, "there is no upload " + std::to_string(upload) +
                                   "; it ended, failed, or was silent for too long");
}

Task<Result<ClientAnswer>> ClientService::put_data(ClientId client, client::PutData request,
                                                   Payload payload) {
  auto found = upload_of(client, request.upload);
  if (!found) co_return fail(std::move(found.error()));
  const auto session = std::move(*found);
  const InUse in_use(session->busy, session->last_used_ms, context_.runtime);
  if (payload.empty()) co_return ClientAnswer{upload_reply(request.upload), {}};
  if (request.offset != session->received) {
    co_return fail(Errc::invalid, "put '" + printable(session->name) + "': data for offset " +
                                      std::to_string(request.offset) + ", but " +
                                      std::to_string(session->received) + " bytes came before");
  }
  const auto bytes = payload.size();
  if (session->unanswered + bytes > options_.upload_credit_bytes) {
    co_return fail(Errc::busy, "put '" + printable(session->name) +
                                   "': more data at once than the credit given");
  }
  session->received += bytes;
  session->unanswered += bytes;
  auto written = co_await session->stream->write(std::move(payload));
  session->unanswered -= bytes;
  if (!written) co_return fail(std::move(written.error()));
  co_return ClientAnswer{upload_reply(request.upload), {}};
}

Task<Result<ClientAnswer>> ClientService::put_end(ClientId client, client::PutEnd request) {
  auto found = upload_of(client, request.upload);
  if (!found) co_return fail(std::move(found.error()));
  const auto session = std::move(*found);
  // Used up from here on, whatever comes of it.
  if (clients_[client].uploads.erase(request.upload) != 0) --uploads_;
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
  if (auto found = upload_of(client, request.upload)) {
    (*found)->stream.reset();  // writes still waiting in it end with that
    clients_[client].uploads.erase(request.upload);
    --uploads_;
  }
  co_return ClientAnswer{client::Ok{}, {}};
}

client::Stored ClientService::stored_reply(const WriteReceipt& receipt) const {
  client::Stored stored{.version = receipt.version.value,
                        .size = receipt.size,
                        .copies = receipt.copies,
                        .wanted = receipt.wanted,
                        .missing = {}};
  for (const auto& node : receipt.missing) {
    const auto* member = context_.mesh.roster().find(node);
    stored.missing.push_back(member != nullptr ? member->name : node.short_hex());
  }
  return stored;
}

// ----------------------------------------------------------------------------------------- get

Task<Result<ClientAnswer>> ClientService::get(ClientId client, client::Get request) {
  const auto gateway = gateway_();
  auto opened = co_await gateway->get(request.key);
  if (!opened) co_return fail(std::move(opened.error()));
  auto range = range_of(request, (*opened)->manifest().size);
  if (!range) {
    co_return fail("get '" + printable(request.key) + "'", std::move(range.error()));
  }
  auto info = info_of(**opened);
  info.first = range->first;
  info.length = range->end - range->first;
  if (*info.length <= inline_bytes_max) {
    auto bytes = co_await (*opened)->read(range->first, static_cast<std::uint32_t>(*info.length));
    if (!bytes) co_return fail(std::move(bytes.error()));
    co_return ClientAnswer{std::move(info), std::move(*bytes)};
  }
  auto& downloads = clients_[client].downloads;
  if (downloads.size() >= options_.downloads_per_client_max ||
      downloads_ >= options_.downloads_max) {
    co_return fail(Errc::busy, "too many downloads are open; end one, then try again");
  }
  ++downloads_;
  (*opened)->expect_until(range->end);
  auto session = std::make_shared<DownloadSession>();
  session->stream = std::move(*opened);
  session->first = range->first;
  session->end = range->end;
  session->last_used_ms = context_.runtime.steady_ms();
  info.download = ++last_session_;
  info.chunk_bytes = chunk_bytes_max;
  downloads[*info.download] = std::move(session);
  co_return ClientAnswer{std::move(info), {}};
}

Task<Result<ClientAnswer>> ClientService::get_data(ClientId client, client::GetData request) {
  const auto known = clients_.find(client);
  const auto session =
      known == clients_.end() ? nullptr : [&]() -> std::shared_ptr<DownloadSession> {
    const auto found = known->second.downloads.find(request.download);
    return found == known->second.downloads.end() ? nullptr : found->second;
  }();
  if (!session) {
    co_return fail(Errc::not_found, "there is no download " + std::to_string(request.download) +
                                        "; it ended, or was silent for too long");
  }
  if (session->busy >= options_.reads_per_download_max) {
    co_return fail(Errc::busy, "too many reads of one download at once");
  }
  const InUse in_use(session->busy, session->last_used_ms, context_.runtime);
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
  if (clients_[client].downloads.erase(request.download) != 0) --downloads_;
  co_return ClientAnswer{client::Ok{}, {}};
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
  client::List::Reply reply{.entries = {}, .more = page->more};
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
  auto receipt = co_await gateway->remove(std::move(request.key));
  if (!receipt) co_return fail(std::move(receipt.error()));
  co_return ClientAnswer{stored_reply(*receipt), {}};
}

// ------------------------------------------------------------------------------------- the end

void ClientService::gone(ClientId client) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) return;
  uploads_ -= found->second.uploads.size();
  downloads_ -= found->second.downloads.size();
  // Requests still waiting in an upload hold its session, and end when the stream does.
  for (auto& [id, session] : found->second.uploads)
    session->stream.reset();
  clients_.erase(found);
}

void ClientService::drop_all() {
  while (!clients_.empty())
    gone(clients_.begin()->first);
}

void ClientService::drop_idle() {
  const auto now_ms = context_.runtime.steady_ms();
  const auto is_idle = [&](const auto& entry) {
    const auto idle_ms = now_ms - entry.second->last_used_ms;
    return entry.second->busy == 0 &&
           idle_ms > static_cast<std::uint64_t>(options_.idle_max.count());
  };
  for (auto& [client, sessions] : clients_) {
    uploads_ -= std::erase_if(sessions.uploads, is_idle);
    downloads_ -= std::erase_if(sessions.downloads, is_idle);
  }
  std::erase_if(clients_, [](const auto& entry) {
    return entry.second.uploads.empty() && entry.second.downloads.empty();
  });
}

}  // namespace zerodb
