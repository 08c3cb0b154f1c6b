#pragma once
// zerodb::Client: the blocking client of a node, for programs and for zdb. One thread at a time.

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "bus/client_credential.hpp"
#include "bus/client_message.hpp"
#include "store/buffer.hpp"

namespace zerodb {

/// Fills the span from the front and answers how much; 0 at the end. May block; a source that may
/// wait for more than some seconds answers `busy` instead ("nothing yet, ask again"), so that the
/// client can keep its upload alive meanwhile. Any other error ends the put.
using ByteSource = std::function<Result<std::size_t>(MutableBytes)>;
/// Takes the next bytes, in order.
using ByteSink = std::function<Status(ByteView)>;

struct PutOptions {
  std::optional<std::uint64_t> size;  ///< when known: exactly so many bytes are taken
  std::string media_type;
  std::optional<std::int64_t> mtime_ms;
  std::map<std::string, std::string> attributes;
};

struct ByteRange {
  std::uint64_t first = 0;
  std::optional<std::uint64_t> last;  ///< inclusive; to the end if absent
};

struct ClientOptions {
  std::chrono::milliseconds connect_timeout{5'000};
  std::chrono::milliseconds answer_timeout{120'000};  ///< without a word from a connected node
};

class Client {
 public:
  /// Connects to the node whose data folder is `folder` (its client.sock). `io` when no node
  /// answers there, `invalid` when the path is too long for a socket; both say what to do. When
  /// the node stops, calls fail with `io`; later ones try to connect again.
  static Result<Client> connect(const std::filesystem::path& folder, ClientOptions options = {});

  /// Connects over the network, with what `zdb client add` printed on the node's machine. `io` when
  /// the node cannot be reached, `denied` when it refuses the credential. What the credential does
  /// not allow is `denied` call by call.
  static Result<Client> connect(const ClientCredential& credential, ClientOptions options = {});

  /// True if the last call failed because the node could not be reached or stopped.
  bool lost() const;

  Client(Client&&) noexcept;
  Client& operator=(Client&&) noexcept;
  ~Client();

  Result<client::Stored> put(const std::string& key, ByteView content, PutOptions options = {});
  Result<client::Stored> put(const std::string& key, const ByteSource& source, PutOptions options);

  /// `not_found` if there is no such object. The sink sees only verified bytes, in order; on an
  /// error it may have seen a beginning of them.
  Result<client::ObjectInfo> get(const std::string& key, const ByteSink& sink,
                                 std::optional<ByteRange> range = {});
  Result<Bytes> get(const std::string& key);

  Result<client::ObjectInfo> stat(const std::string& key);
  Result<client::List::Reply> list(const std::string& prefix, const std::string& after = {},
                                   std::uint32_t limit = 500);
  Result<client::Stored> remove(const std::string& key);
  Result<client::Status::Reply> status();
  Result<client::Scrub::Reply> scrub(bool start, bool wait);
  Result<std::string> invite(client::Invite request);
  Result<std::string> owner_id();
  Result<std::string> owner_export();
  Result<std::string> owner_import(const std::string& recovery_text, bool replace);

  /// Administration of the mesh: see PROTOCOL.md. `denied` on a node without the mesh key.
  Result<client::NodeChanged> node_set(client::NodeSet request);
  Result<client::NodeChanged> node_remove(client::NodeRemove request);
  Result<std::string> mesh_export();
  Result<std::string> mesh_import(const std::string& recovery_text);

  /// Who may speak to this node over the network: see PROTOCOL.md. Only on the node's machine.
  Result<std::string> client_add(client::ClientAdd request);  ///< the credential
  Result<client::ClientList::Reply> client_list(const std::string& after);
  Status client_revoke(const std::string& name);

 private:
  class Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace zerodb
