#pragma once
// zerodb::BusClient: the blocking client of a node, for zdb and under the library. One thread at a
// time.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "bus/client_credential.hpp"
#include "bus/client_message.hpp"
#include "zerodb/object.hpp"

namespace zerodb {

/// The whole client protocol, administration included. The library's zerodb::Client is the part of
/// it that keeps objects.
class BusClient {
 public:
  /// Connects to the node whose data folder is `folder` (its client.sock). `io` when no node
  /// answers there, `invalid` when the path is too long for a socket; both say what to do. When
  /// the node stops, calls fail with `io`; later ones try to connect again.
  static Result<BusClient> connect(const std::filesystem::path& folder, ClientOptions options = {});

  /// Connects over the network, with what `zdb client add` printed on the node's machine. `io` when
  /// the node cannot be reached, `denied` when it refuses the credential. What the credential does
  /// not allow is `denied` call by call.
  static Result<BusClient> connect(const ClientCredential& credential, ClientOptions options = {});

  /// True if the last call failed because the node could not be reached or stopped.
  bool lost() const;

  BusClient(BusClient&&) noexcept;
  BusClient& operator=(BusClient&&) noexcept;
  ~BusClient();

  Result<client::Stored> put(const std::string& key, ByteView content, PutOptions options = {});
  /// With `receipts`, each node that has it by then signs that it does.
  Result<client::Stored> put(const std::string& key, const ByteSource& source, PutOptions options,
                             bool receipts = false);

  /// `not_found` if there is no such object. The sink sees only verified bytes, in order; on an
  /// error it may have seen a beginning of them.
  Result<client::ObjectInfo> get(const std::string& key, const ByteSink& sink,
                                 std::optional<ByteRange> range = {});
  Result<Bytes> get(const std::string& key);

  /// A link by which another owner of the mesh can read this version, see PROTOCOL.md.
  Result<std::string> share(const std::string& key, std::chrono::seconds expires);
  /// Like get(), by somebody's link.
  Result<client::ObjectInfo> get_shared(const std::string& link, const ByteSink& sink,
                                        std::optional<ByteRange> range = {});

  Result<client::ObjectInfo> stat(const std::string& key);
  Result<client::List::Reply> list(const std::string& prefix, const std::string& after = {},
                                   std::uint32_t limit = 500);
  /// Events in the order of the node's log, see PROTOCOL.md ("events"). Waits at most
  /// `request.wait_ms`; a follower goes on with `since` = next, in the epoch of the reply, and MUST
  /// look at `gap` and `reset`.
  Result<client::Events::Reply> events(client::Events request);
  /// A durable follower is done with all up to `request.sequence`; durable when it returns.
  Result<client::Follower> events_ack(client::EventsAck request);
  Result<client::Followers::Reply> followers();
  Result<client::Ok> follower_remove(const std::string& durable);

  /// `not_found` if there is no such object, `conflict` if another version stands.
  Result<client::Stored> remove(const std::string& key,
                                std::optional<std::uint64_t> if_version = {});
  /// Has every placed node prove that it holds the object; what each did is in the reply.
  Result<client::Verify::Reply> verify(const std::string& key);
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
  explicit BusClient(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace zerodb
