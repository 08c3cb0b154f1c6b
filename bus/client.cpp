#include "bus/client.hpp"

#include "bus/client_channel.hpp"
#include "bus/client_download.hpp"
#include "bus/client_upload.hpp"
#include "bus/put_request.hpp"
#include "store/keys.hpp"

namespace zerodb {

class BusClient::Impl {
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

Result<BusClient> BusClient::connect(const std::filesystem::path& folder, ClientOptions options) {
  auto channel = ClientChannel::open(ClientTarget::local(folder), options);
  if (!channel) return fail(std::move(channel.error()));
  return BusClient(std::make_unique<Impl>(std::move(*channel)));
}

Result<BusClient> BusClient::connect(const ClientCredential& credential, ClientOptions options) {
  auto channel = ClientChannel::open(ClientTarget::remote(credential), options);
  if (!channel) return fail(std::move(channel.error()));
  return BusClient(std::make_unique<Impl>(std::move(*channel)));
}

BusClient::BusClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
BusClient::BusClient(BusClient&&) noexcept = default;
bool BusClient::lost() const {
  return impl_->channel().lost();
}
BusClient& BusClient::operator=(BusClient&&) noexcept = default;
BusClient::~BusClient() = default;

Result<client::Stored> BusClient::put(const std::string& key, ByteView content,
                                      PutOptions options) {
  options.size = content.size();
  const ByteSource source = [&content](MutableBytes to) -> Result<std::size_t> {
    const auto count = std::min(to.size(), content.size());
    std::copy_n(content.begin(), count, to.begin());
    content = content.subspan(count);
    return count;
  };
  return put(key, source, std::move(options));
}

Result<client::Stored> BusClient::put(const std::string& key, const ByteSource& source,
                                      PutOptions options, bool receipts) {
  if (auto named = check_name(key); !named) return fail(std::move(named.error()));
  if (auto there = impl_->channel().begin(); !there) return fail(std::move(there.error()));
  auto request = put_request(key, std::move(options));
  if (receipts) request.receipts = true;
  return ClientUpload(impl_->channel(), source, std::move(request)).run();
}

Result<client::ObjectInfo> BusClient::get(const std::string& key, const ByteSink& sink,
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

Result<Bytes> BusClient::get(const std::string& key) {
  Bytes content;
  const ByteSink sink = [&content](ByteView bytes) -> Status {
    content.insert(content.end(), bytes.begin(), bytes.end());
    return {};
  };
  auto info = get(key, sink);
  if (!info) return fail(std::move(info.error()));
  return content;
}

Result<client::ObjectInfo> BusClient::get_shared(const std::string& link, const ByteSink& sink,
                                                 std::optional<ByteRange> range) {
  if (auto there = impl_->channel().begin(); !there) return fail(std::move(there.error()));
  client::GetShared request{.link = link};
  if (range) {
    request.first = range->first;
    request.last = range->last;
  }
  return ClientDownload(impl_->channel(), std::move(request), sink).run();
}

Result<std::string> BusClient::share(const std::string& key, std::chrono::seconds expires) {
  auto reply = impl_->ask_about(
      key, client::Share{.key = key, .expires_s = static_cast<std::uint64_t>(expires.count())});
  if (!reply) return fail(std::move(reply.error()));
  return std::move(reply->text);
}

Result<client::ObjectInfo> BusClient::stat(const std::string& key) {
  return impl_->ask_about(key, client::Stat{.key = key});
}

Result<client::List::Reply> BusClient::list(const std::string& prefix, const std::string& after,
                                            std::uint32_t limit) {
  return impl_->ask(client::List{.prefix = prefix, .after = after, .limit = limit});
}

Result<client::Stored> BusClient::remove(const std::string& key,
                                         std::optional<std::uint64_t> if_version) {
  return impl_->ask_about(key, client::Delete{.key = key, .if_version = if_version});
}

Result<client::Events::Reply> BusClient::events(client::Events request) {
  return impl_->ask(std::move(request));
}

Result<client::Follower> BusClient::events_ack(client::EventsAck request) {
  return impl_->ask(std::move(request));
}

Result<client::Followers::Reply> BusClient::followers() {
  return impl_->ask(client::Followers{});
}

Result<client::Ok> BusClient::follower_remove(const std::string& durable) {
  return impl_->ask(client::FollowerRemove{.durable = durable});
}

Result<client::Verify::Reply> BusClient::verify(const std::string& key) {
  return impl_->ask_about(key, client::Verify{.key = key});
}

Result<client::Status::Reply> BusClient::status() {
  return impl_->ask(client::Status{});
}

Result<client::Scrub::Reply> BusClient::scrub(bool start, bool wait) {
  return impl_->ask(client::Scrub{.start = start, .wait = wait});
}

Result<std::string> BusClient::invite(client::Invite request) {
  return impl_->ask_text(request);
}

Result<std::string> BusClient::owner_id() {
  return impl_->ask_text(client::OwnerShow{});
}

Result<std::string> BusClient::owner_export() {
  return impl_->ask_text(client::OwnerExport{});
}

Result<std::string> BusClient::owner_import(const std::string& recovery_text, bool replace) {
  return impl_->ask_text(client::OwnerImport{.text = recovery_text, .replace = replace});
}

Result<client::NodeChanged> BusClient::node_set(client::NodeSet request) {
  return impl_->ask(std::move(request));
}

Result<client::NodeChanged> BusClient::node_remove(client::NodeRemove request) {
  return impl_->ask(std::move(request));
}

Result<std::string> BusClient::mesh_export() {
  return impl_->ask_text(client::MeshExport{});
}

Result<std::string> BusClient::mesh_import(const std::string& recovery_text) {
  return impl_->ask_text(client::MeshImport{.text = recovery_text});
}

Result<std::string> BusClient::client_add(client::ClientAdd request) {
  return impl_->ask_text(std::move(request));
}

Result<client::ClientList::Reply> BusClient::client_list(const std::string& after) {
  return impl_->ask(client::ClientList{.after = after});
}

Status BusClient::client_revoke(const std::string& name) {
  auto revoked = impl_->ask(client::ClientRevoke{.client_name = name});
  return revoked ? Status{} : fail(std::move(revoked.error()));
}

}  // namespace zerodb
