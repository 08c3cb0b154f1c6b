#pragma once
// The uploads and downloads that clients have open: bounded, and dropped when their client goes or
// when they fall silent. A resumable upload whose client went waits to be taken over. One thread:
// the node's executor.

#include <map>
#include <memory>

#include "bus/client_port.hpp"
#include "node/gateway.hpp"
#include "node/wakeup.hpp"

namespace zerodb {

/// Sessions are shared with the requests that are under way in them, which may outlast the client.
struct UploadSession {
  explicit UploadSession(Runtime& runtime) : written(runtime) {}

  ClientIdentity client;  ///< who began it
  std::shared_ptr<Gateway> gateway;
  std::unique_ptr<PutStream> stream;  ///< none while it is being opened, and after it was dropped
  std::string name;
  std::optional<std::uint64_t> size;  ///< as the client announced it
  std::uint64_t credit = 0;           ///< bytes that may be unanswered
  std::uint64_t received = 0;
  std::uint64_t unanswered = 0;  ///< bytes of those
  std::uint64_t last_used_ms = 0;
  std::uint64_t last_bytes_ms = 0;  ///< when content last came
  std::size_t busy = 0;             ///< requests under way
  Bytes resume;    ///< the secret to take it over with; empty: ends with its connection
  Wakeup written;  ///< some of the unanswered bytes were
};

struct DownloadSession {
  ClientIdentity client;  ///< who began it
  std::unique_ptr<GetStream> stream;
  std::uint64_t first = 0;
  std::uint64_t end = 0;  ///< of the range granted
  std::uint64_t last_used_ms = 0;
  std::size_t busy = 0;
};

/// Counts a request in its session for as long as it lasts.
template <class Session>
class InUse {
 public:
  InUse(Session& session, Runtime& runtime) : session_(session), runtime_(runtime) {
    ++session_.busy;
    session_.last_used_ms = runtime_.steady_ms();
  }
  ~InUse() {
    --session_.busy;
    session_.last_used_ms = runtime_.steady_ms();
  }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  Session& session_;
  Runtime& runtime_;
};

struct SessionLimits {
  std::size_t uploads_per_client_max = 16;  ///< on a connection
  std::size_t downloads_per_client_max = 64;
  std::size_t uploads_per_credential_max = 64;  ///< of remote clients, lost connections' included
  std::size_t downloads_per_credential_max = 256;
  std::size_t uploads_max = 256;  ///< of all clients
  std::size_t downloads_max = 4096;
  Milliseconds idle_max{120'000};  ///< then a silent upload or download is dropped
  /// Then an upload of a remote client is dropped that brought no content, whatever else it said:
  /// as long as it is open, no change of placement ends.
  Milliseconds remote_pause_max{3'600'000};
};

class ClientSessions {
 public:
  using UploadPtr = std::shared_ptr<UploadSession>;
  using DownloadPtr = std::shared_ptr<DownloadSession>;

  ClientSessions(Runtime& runtime, SessionLimits limits);

  /// The id of the session from now on; `busy` when the client, or all, have too many.
  Result<std::uint64_t> add(ClientId client, UploadPtr upload);
  Result<std::uint64_t> add(ClientId client, DownloadPtr download);

  /// `not_found` when it ended or was dropped.
  Result<UploadPtr> upload(ClientId client, std::uint64_t id) const;
  Result<DownloadPtr> download(ClientId client, std::uint64_t id) const;

  /// Takes a resumable upload from the connection that has it, or had it, of the same client;
  /// answers its new id. `not_found` when there is none, `busy` as above.
  Result<std::uint64_t> take_over(ClientId client, const ClientIdentity& identity, ByteView resume);

  /// Whether it was open until now.
  bool end_upload(ClientId client, std::uint64_t id);
  bool end_download(ClientId client, std::uint64_t id);

  /// Drops what the client left open, but for resumable uploads.
  void gone(ClientId client);
  void drop_idle();
  void drop_all();

 private:
  using Uploads = std::map<std::uint64_t, UploadPtr>;
  struct Sessions {
    Uploads uploads;
    std::map<std::uint64_t, DownloadPtr> downloads;
  };
  static constexpr ClientId nobody = 0;  ///< holds the uploads that wait to be taken over

  Status check_room(ClientId client);
  /// Open, or about to be, on all connections of a client, also those that were lost.
  std::size_t uploads_of(const ClientIdentity& identity) const;
  std::size_t downloads_of(const ClientIdentity& identity) const;
  void drop(UploadSession& session);

  Runtime& runtime_;
  SessionLimits limits_;
  std::map<ClientId, Sessions> clients_;
  std::size_t uploads_ = 0;
  std::size_t downloads_ = 0;
  std::uint64_t last_id_ = 0;
};

}  // namespace zerodb
