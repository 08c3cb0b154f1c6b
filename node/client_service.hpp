#pragma once
// What clients ask about objects: put, get, stat, list and delete over the gateway. One thread: the
// node's executor.

#include "node/client_sessions.hpp"
#include "node/durations.hpp"

namespace zerodb {

struct ClientServiceOptions {
  SessionLimits sessions;
  std::uint64_t upload_credit_bytes = 8 << 20;  ///< a client may send beyond what was answered
  /// The same of a remote one, of which all connections together may have 64 MiB under way.
  std::uint64_t remote_upload_credit_bytes = 4 << 20;
  std::size_t reads_per_download_max = 64;  ///< being answered at once
};

/// The bytes a client asks for, both ends included; all of them if it does not say.
struct WantedRange {
  std::optional<std::uint64_t> first;
  std::optional<std::uint64_t> last;
};

class ClientService {
 public:
  /// `gateway` answers with nothing on a node that holds no owner's key.
  ClientService(NodeContext context, std::function<std::shared_ptr<Gateway>()> gateway,
                ClientServiceOptions options);
  ~ClientService();

  Task<Result<ClientAnswer>> handle(ClientId client, ClientIdentity identity,
                                    client::Request request, Payload payload);

  /// Uploads and downloads end with their client, when they fall silent, and when the node stops.
  void gone(ClientId client) { sessions_.gone(client); }
  void drop_idle() { sessions_.drop_idle(); }
  void drop_all() { sessions_.drop_all(); }

  /// What small puts took within the node: from the request at hand to its answer.
  const Durations& small_puts() const { return small_puts_; }

 private:
  using Reply = Task<Result<ClientAnswer>>;
  struct Dispatch;

  Reply put(ClientId client, ClientIdentity identity, client::Put request, Payload payload);
  Reply put_resume(ClientId client, ClientIdentity identity, client::PutResume request);
  Reply put_data(ClientId client, client::PutData request, Payload payload);
  Reply put_end(ClientId client, client::PutEnd request);
  Reply put_abort(ClientId client, client::PutAbort request);
  Reply get(ClientId client, ClientIdentity identity, client::Get request);
  Reply get_data(ClientId client, client::GetData request);
  Reply get_end(ClientId client, client::GetEnd request);
  Reply get_shared(ClientId client, ClientIdentity identity, client::GetShared request);
  Reply share(client::Share request);
  Reply stat(client::Stat request);
  Reply list(client::List request);
  Reply remove(client::Delete request);
  Reply verify(client::Verify request);

  Reply read(ClientId client, ClientIdentity identity, std::unique_ptr<GetStream> stream,
             WantedRange wanted);
  Reply open_upload(ClientId client, ClientIdentity identity, const client::Put& request,
                    PutSpec spec);
  static client::Upload upload_reply(std::uint64_t upload, const UploadSession& session);
  std::string name_of(const NodeId& node) const;
  client::Stored stored_reply(const WriteReceipt& receipt) const;

  NodeContext context_;
  std::function<std::shared_ptr<Gateway>()> gateway_;
  ClientServiceOptions options_;
  ClientSessions sessions_;
  Durations small_puts_;
};

}  // namespace zerodb
