#include "bus/client.hpp"

#include "bus/client_channel.hpp"
#include "bus/client_download.hpp"
#include "bus/client_upload.hpp"
#include "store/keys.hpp"

namespace zerodb {

class Client::Impl {
 public:
  explicit Impl(std::unique_ptr<ClientChannel> channel) : channel_(std::move(channel)) {}

  ClientChannel& channel() { return *channel_; }

  /// One request, one reply.
  template <class Request>
  Result<typename Request::Reply> ask(Request request) {
    if (auto there = channel_->begin(); !there) return fail(std::move(there.error()));
    auto reply = channel_->call(std::move(request));
    if (!reply) return fail(std::move(reply.error()));
    return std::move(reply->message);
  }

  /// The same for requests about one object.
  template <class Request>
  Result<typename Request::Reply> ask_about(const std::string& key, Request request) {
    if (auto named = check_name(key); !named) return fail(std::move(named.error()));
    return ask(std::move(request));
  }

  template <class Request>
  Result<std::string> ask_text(Request request) {
    auto reply = ask(std::move(request));
    if (!reply) return fail(std::move(reply.error()));
    return std::move(reply->text);
  }

 private:
  std::unique_ptr<ClientChannel> channel_;
};

Result<Client> Client::connect(const std::filesystem::path& folder, ClientOptions options) {
  auto channel = ClientChannel::open(ClientTarget::local(folder), options);
  if (!channel) return fail(std::move(channel.error()));
  return Client(std::make_unique<Impl>(std::move(*channel)));
}

Result<Client> Client::connect(const ClientCredential& credential, ClientOptions options) {
  auto channel = ClientChannel::open(ClientTarget::remote(credential), options);
  if (!channel) return fail(std::move(channel.error()));
  return Client(std::make_unique<Impl>(std::move(*channel)));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
bool Client::lost() const {
  return impl_->channel().lost();
}
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

Result<client::Stored> Client::put(const std::string& key, ByteView content, PutOptions options) {
  options.size = content.size();
  const ByteSource source = [&content](MutableBytes to) -> Result<std::size_t> {
    const auto count = std::min(to.size(), content.size());
    std::copy_n(content.begin(), count, to.begin());
    content = content.subspan(count);
    return count;
  };
  return put(key, source, std::move(options));
}

Result<client::Stored> Client::put(const std::string& key, const ByteSource& source,
                                   PutOptions options) {
  if (auto named = check_name(key); !named) return fail(std::move(named.error()));
  if (auto there = impl_->channel().begin(); !there) return fail(std::move(there.error()));
  client::Put request{.key = key, .size = options.size, .mtime_ms = options.mtime_ms};
  if (!options.media_type.empty()) request.media_type = std::move(options.media_type);
  if (!options.attributes.empty()) request.attributes = std::move(options.attributes);
  return ClientUpload(impl_->channel(), source, std::move(request)).run();
}

Result<client::ObjectInfo> Client::get(const std::string& key, const ByteSink& sink,
                                       std::optional<ByteRange> range) {
  if (auto named = check_name(key); !named) return fail(std::move(named.error()));
  if (auto there = impl_->channel().begin(); !there) return fail(std::move(there.error()));
  client::Get request{.key = key};
  if (range) {
    request.first = range->first;
    request.last = range->last;
  }
  return ClientDownload(impl_->channel(), std::move(request), sink).run();
}

Result<Bytes> Client::get(const std::string& key) {
  Bytes content;
  const ByteSink sink = [&content](ByteView bytes) -> Status {
    content.insert(content.end(), bytes.begin(), bytes.end());
    return {};
  };
  auto info = get(key, sink);
  if (!info) return fail(std::move(info.error()));
  return content;
}

Result<client::ObjectInfo> Client::stat(const std::string& key) {
  return impl_->ask_about(key, client::Stat{.key = key});
}

Result<client::List::Reply> Client::list(const std::string& prefix, const std::string& after,
                                         std::uint32_t limit) {
  return impl_->ask(client::List{.prefix = prefix, .after = after, .limit = limit});
}

Result<client::Stored> Client::remove(const std::string& key) {
  return impl_->ask_about(key, client::Delete{.key = key});
}

Result<client::Status::Reply> Client::status() {
  return impl_->ask(client::Status{});
}

Result<client::Scrub::Reply> Client::scrub(bool start, bool wait) {
  return impl_->ask(client::Scrub{.start = start, .wait = wait});
}

Result<std::string> Client::invite(client::Invite request) {
  return impl_->ask_text(request);
}

Result<std::string> Client::owner_id() {
  return impl_->ask_text(client::OwnerShow{});
}

Result<std::string> Client::owner_export() {
  return impl_->ask_text(client::OwnerExport{});
}

Result<std::string> Client::owner_import(const std::string& recovery_text, bool replace) {
  return impl_->ask_text(client::OwnerImport{.text = recovery_text, .replace = replace});
}

Result<client::NodeChanged> Client::node_set(client::NodeSet request) {
  return impl_->ask(std::move(request));
}

Result<client::NodeChanged> Client::node_remove(client::NodeRemove request) {
  return impl_->ask(std::move(request));
}

Result<std::string> Client::mesh_export() {
  return impl_->ask_text(client::MeshExport{});
}

Result<std::string> Client::mesh_import(const std::string& recovery_text) {
  return impl_->ask_text(client::MeshImport{.text = recovery_text});
}

Result<std::string> Client::client_add(client::ClientAdd request) {
  return impl_->ask_text(std::move(request));
}

Result<client::ClientList::Reply> Client::client_list(const std::string& after) {
  return impl_->ask(client::ClientList{.after = after});
}

Status Client::client_revoke(const std::string& name) {
  auto revoked = impl_->ask(client::ClientRevoke{.client_name = name});
  return revoked ? Status{} : fail(std::move(revoked.error()));
}

}  // namespace zerodb
