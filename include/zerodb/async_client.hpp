#pragma once
// zerodb::AsyncClient: many requests at once, over one connection, from any thread.
//
//   auto client = zerodb::AsyncClient::connect(folder);
//   std::vector<std::future<zerodb::Result<zerodb::Stored>>> puts;
//   for (auto& [key, content] : files) puts.push_back(client->put(key, std::move(content)));
//   for (auto& put : puts) if (auto stored = put.get(); !stored) complain(stored.error().what);
//
// Thread-safe. A thread of the client's own sends, receives and calls back. Each call comes as a
// future and with a callback; what is answered, and which errors there are, is as with Client.
// Requests start in the order they were made, but for objects that are streamed (see below), which
// others may overtake; they end in any order. Two for one key are not held back for each other.
//
// Limits: at most `requests_max` calls are under way, and `bytes_max` of contents being put (one
// larger content alone is taken). A call beyond waits until another one has ended. A callback must
// not wait, and so gets `busy` instead: but the request it is called for has ended, and the next
// one, made from its callback, has its room.
//
// When the node stops, all calls under way fail with `io`: a put or removal may have happened, as
// with Client.
// Later ones connect again, and fail with `io` if no node answers. When the client is destroyed all
// fail with `io`, too; what their callbacks ask for then is dropped, and never calls back.
//
// Objects larger than 64 KiB are streamed, eight puts and four gets of them at a time. A get holds
// its object in memory: larger ones than `object_bytes_max` are `invalid`, Client::get streams.

#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <string>

#include "zerodb/object.hpp"

namespace zerodb {

struct AsyncOptions {
  ClientOptions connection;
  std::size_t requests_max = 256;
  std::size_t bytes_max = std::size_t{64} << 20;
  std::uint64_t object_bytes_max = std::uint64_t{256} << 20;
};

class ZERODB_API AsyncClient {
 public:
  template <class T>
  using Future = std::future<Result<T>>;
  /// Called once, on the client's thread: it should be quick, must not throw, must not wait for
  /// another call of this client, and must not destroy it. A call that is refused without asking
  /// the node (`invalid` for its key, `busy` in a callback) calls back before it returns.
  template <class T>
  using Callback = std::function<void(Result<T>)>;

  /// As Client::connect.
  static Result<AsyncClient> connect(const std::filesystem::path& folder,
                                     AsyncOptions options = {});

  AsyncClient(AsyncClient&&) noexcept;
  AsyncClient& operator=(AsyncClient&&) noexcept;
  /// Calls under way fail with `io`, and have called back when this returns. No other thread may
  /// be in a call.
  ~AsyncClient();

  Future<Stored> put(std::string key, Bytes content, PutOptions options = {});
  void put(std::string key, Bytes content, PutOptions options, Callback<Stored> done);

  Future<Bytes> get(std::string key, std::optional<ByteRange> range = {});
  void get(std::string key, std::optional<ByteRange> range, Callback<Bytes> done);

  Future<ObjectInfo> stat(std::string key);
  void stat(std::string key, Callback<ObjectInfo> done);

  /// One page, as Client::list_page.
  Future<ListPage> list_page(std::string prefix, std::string after = {}, std::uint32_t limit = 500);
  void list_page(std::string prefix, std::string after, std::uint32_t limit,
                 Callback<ListPage> done);

  /// `conflict` if another version than `if_version` stands; then nothing is done.
  Future<Stored> remove(std::string key, std::optional<std::uint64_t> if_version = {});
  void remove(std::string key, std::optional<std::uint64_t> if_version, Callback<Stored> done);

 private:
  class Impl;
  explicit AsyncClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace zerodb
