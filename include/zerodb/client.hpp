#pragma once
// zerodb::Client: keeps objects in a mesh, through the node on this machine.
//
//   auto client = zerodb::Client::connect("/home/ann/.local/share/zerodb");
//   if (!client) return complain(client.error().what);
//   client->put("notes.txt", "Hello");
//   auto notes = client->get("notes.txt");          // Result<Bytes>
//   for (const auto& entry : client->list("photos/")) std::cout << entry.key << '\n';
//
// Every call blocks until it is done. One thread at a time uses a Client; it may be another one
// each time. For many requests at once: zerodb/async_client.hpp. No call throws, but for memory.
//
// Keys are 1 to 1024 bytes of UTF-8; another key is `invalid`. Calls about objects fail with
// `not_found`; `denied` on a node that holds no owner's key; `no_quorum` or `timeout` when too few
// nodes answer; `full`; `corrupt` when no whole copy was found; `busy` at a limit; `io` when the
// node stopped.
//
// After `no_quorum`, `timeout`, `full` or `io` a put or removal may have happened, or may yet be
// seen. Doing it again is harmless, but one with a condition may find its own first try there:
// `conflict`.

#include <filesystem>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>

#include "zerodb/event.hpp"
#include "zerodb/listing.hpp"
#include "zerodb/object.hpp"

namespace zerodb {

class ZERODB_API Client {
 public:
  /// Connects to the node whose data folder is `folder` (its client.sock). `io` when no node
  /// answers there, `denied` for another user's, `invalid` when the path is too long for a socket;
  /// each says what to do. When the node stops, calls fail with `io`; later ones connect again.
  static Result<Client> connect(const std::filesystem::path& folder, ClientOptions options = {});

  /// Connects over the network with a credential, the line that `zdb client add` prints on the
  /// node's machine. `invalid` for text that is none, `io` when the node cannot be reached,
  /// `denied` when it refuses the credential. What the credential does not allow is `denied` call
  /// by call.
  static Result<Client> connect_remote(std::string_view credential, ClientOptions options = {});

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  /// Stores an object in place of what was there. Answered once a write quorum has made it durable.
  /// On `invalid`, `denied` and `conflict` what was there before stands; for the others, see above.
  Result<Stored> put(const std::string& key, ByteView content, PutOptions options = {});
  Result<Stored> put(const std::string& key, std::string_view content, PutOptions options = {});
  /// All that is left of `in`. `io` when it goes bad.
  Result<Stored> put(const std::string& key, std::istream& in, PutOptions options = {});
  Result<Stored> put(const std::string& key, const ByteSource& source, PutOptions options = {});

  /// The object, or a range of it: verified bytes only. What a stream or sink is given before an
  /// error is a true beginning.
  Result<Bytes> get(const std::string& key, std::optional<ByteRange> range = {});
  /// `io` when `out` goes bad.
  Result<ObjectInfo> get(const std::string& key, std::ostream& out,
                         std::optional<ByteRange> range = {});
  Result<ObjectInfo> get(const std::string& key, const ByteSink& sink,
                         std::optional<ByteRange> range = {});

  Result<ObjectInfo> stat(const std::string& key);

  /// The objects whose keys begin with `prefix`, fetched page by page while they are gone through.
  /// The Listing uses this Client, which must stay and not be used by other threads meanwhile.
  Listing list(std::string prefix = {});
  /// One page: at most `limit` (1 to 1000) objects after the key `after`.
  Result<ListPage> list_page(const std::string& prefix, const std::string& after = {},
                             std::uint32_t limit = 500);

  /// `conflict` if another version than `if_version` stands; then nothing is done.
  Result<Stored> remove(const std::string& key, std::optional<std::uint64_t> if_version = {});

  /// Hands on what is stored and removed under `prefix`, in the order of the node's log, each event
  /// at least once, until options.stop is asked to stop; answers where another watch goes on. A
  /// durable follower's events count as handled, and will not come again, once `sink` has returned
  /// for all that came in one answer. A node that stops is waited for. Ends with the error of
  /// `sink`; with one of the node, such as `denied`, `busy`, `timeout` or `io`; or with `not_found`
  /// when events since the position are not kept any more: then take position(), list() what there
  /// is, and watch from that position. Uses this Client throughout; `sink` must not.
  Result<EventPosition> watch(const std::string& prefix, const EventSink& sink,
                              WatchOptions options = {});
  /// The end of the node's log: where a watch begins that is told of what happens from now on. Who
  /// may not read everything names the `prefix` to watch.
  Result<EventPosition> position(const std::string& prefix = {});

 private:
  friend class Listing;
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace zerodb
