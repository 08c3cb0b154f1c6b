#include "zerodb/client.hpp"

#include <istream>
#include <ostream>

#include "client/client_impl.hpp"
#include "client/public_types.hpp"

namespace zerodb {

using library::shown;

Result<Client> Client::connect(const std::filesystem::path& folder, ClientOptions options) {
  auto bus = BusClient::connect(folder, options);
  if (!bus) return fail(std::move(bus.error()));
  return Client(std::make_unique<Impl>(std::move(*bus)));
}

Result<Client> Client::connect_remote(std::string_view credential, ClientOptions options) {
  auto parsed = parse_credential(credential);
  if (!parsed) return fail(std::move(parsed.error()));
  auto bus = BusClient::connect(*parsed, options);
  if (!bus) return fail(std::move(bus.error()));
  return Client(std::make_unique<Impl>(std::move(*bus)));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() = default;

// ----------------------------------------------------------------------------------------- put

Result<Stored> Client::put(const std::string& key, ByteView content, PutOptions options) {
  return shown(impl_->bus.put(key, content, std::move(options)));
}

Result<Stored> Client::put(const std::string& key, std::string_view content, PutOptions options) {
  return put(key, as_bytes(content), std::move(options));
}

Result<Stored> Client::put(const std::string& key, std::istream& in, PutOptions options) {
  const ByteSource source = [&in](MutableBytes to) -> Result<std::size_t> {
    in.read(reinterpret_cast<char*>(to.data()), static_cast<std::streamsize>(to.size()));
    if (in.bad() || (in.fail() && !in.eof())) return fail(Errc::io, "the stream cannot be read");
    return static_cast<std::size_t>(in.gcount());
  };
  return put(key, source, std::move(options));
}

Result<Stored> Client::put(const std::string& key, const ByteSource& source, PutOptions options) {
  return shown(impl_->bus.put(key, source, std::move(options)));
}

// ----------------------------------------------------------------------------------------- get

Result<Bytes> Client::get(const std::string& key, std::optional<ByteRange> range) {
  Bytes content;
  const ByteSink sink = [&content](ByteView bytes) -> Status {
    content.insert(content.end(), bytes.begin(), bytes.end());
    return {};
  };
  auto info = get(key, sink, range);
  if (!info) return fail(std::move(info.error()));
  return content;
}

Result<ObjectInfo> Client::get(const std::string& key, std::ostream& out,
                               std::optional<ByteRange> range) {
  const ByteSink sink = [&out](ByteView bytes) -> Status {
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    if (!out) return fail(Errc::io, "the stream cannot be written");
    return {};
  };
  return get(key, sink, range);
}

Result<ObjectInfo> Client::get(const std::string& key, const ByteSink& sink,
                               std::optional<ByteRange> range) {
  return shown(impl_->bus.get(key, sink, range));
}

Result<ObjectInfo> Client::stat(const std::string& key) {
  return shown(impl_->bus.stat(key));
}

Result<Stored> Client::remove(const std::string& key, std::optional<std::uint64_t> if_version) {
  return shown(impl_->bus.remove(key, if_version));
}

// ---------------------------------------------------------------------------------------- list

class Listing::Impl {
 public:
  Impl(BusClient& bus, std::string prefix) : bus_(bus), prefix_(std::move(prefix)) {}

  const ListEntry* next() {
    if (at_ == page_.entries.size() && !fetch()) return nullptr;
    return &page_.entries[at_++];
  }

  const Status& status() const { return status_; }

 private:
  /// False when there are no more, or none to be had.
  bool fetch() {
    if (!page_.more || !status_) return false;
    const auto after = page_.entries.empty() ? std::string() : std::move(page_.entries.back().key);
    auto page = shown(bus_.list(prefix_, after));
    at_ = 0;
    page_ = page ? std::move(*page) : ListPage{};
    if (!page) status_ = fail(std::move(page.error()));
    return !page_.entries.empty();
  }

  BusClient& bus_;
  std::string prefix_;
  Status status_;
  ListPage page_{.more = true};
  std::size_t at_ = 0;  ///< of the next entry in the page
};

Listing::Listing(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Listing::Listing(Listing&&) noexcept = default;
Listing& Listing::operator=(Listing&&) noexcept = default;
Listing::~Listing() = default;

const ListEntry* Listing::next() {
  return impl_->next();
}

const Status& Listing::status() const {
  return impl_->status();
}

Listing Client::list(std::string prefix) {
  return Listing(std::make_unique<Listing::Impl>(impl_->bus, std::move(prefix)));
}

Result<ListPage> Client::list_page(const std::string& prefix, const std::string& after,
                                   std::uint32_t limit) {
  return shown(impl_->bus.list(prefix, after, limit));
}

}  // namespace zerodb
