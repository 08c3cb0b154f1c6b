#pragma once
// What clients ask about objects: put, get, stat, list and delete over the gateway, with each
// client's uploads and downloads, which are bounded and go when the client does, but for resumable
// uploads: those may be taken over for a while. One thread: the node's executor.

#include <map>
#include <memory>

#include "bus/client_port.hpp"
#include "node/durations.hpp"
#include "node/event.hpp"
#include "node/gateway.hpp"

namespace zerodb {

struct ClientServiceOptions {
  std::uint64_t upload_credit_bytes = 8 << 20;  ///< a client may send beyond what was answered
  std::size_t uploads_per_client_max = 16;
  std::size_t downloads_per_client_max = 64;
  std::size_t uploads_per_credential_max = 64;  ///< of remote clients, lost connections' included
  std::size_t uploads_max = 256;                ///< of all clients
  std::size_t downloads_max = 4096;
  std::size_t reads_per_download_max = 64;  ///< being answered at once
  Milliseconds idle_max{120'000};           ///< then a silent upload or download is dropped
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

  /// Drops what the client left open.
  void gone(ClientId client);

  /// Drops what went silent. Called now and then by the node.
  void drop_idle();

  /// Drops everything, when the node stops.
  void drop_all();

  /// What small puts took within the node: from the request at hand to its answer.
  const Durations& small_puts() const { return small_puts_; }

 private:
  struct UploadSession;
  struct DownloadSession;
  struct Sessions {
    std::map<std::uint64_t, std::shared_ptr<UploadSession>> uploads;
    std::map<std::uint64_t, std::shared_ptr<DownloadSession>> downloads;
  };
  static constexpr ClientId nobody = 0;  ///< holds the uploads that wait to be resumed
  using Reply = Task<Result<ClientAnswer>>;
  struct Dispatch;

  Reply put(ClientId client, ClientIdentity identity, client::Put request, Payload payload);
  Reply put_resume(ClientId client, ClientIdentity identity, client::PutResume request);
  Reply put_data(ClientId client, client::PutData request, Payload payload);
  Reply put_end(ClientId client, client::PutEnd request);
  Reply put_abort(ClientId client, client::PutAbort request);
  Reply get(ClientId client, client::Get request);
  Reply get_data(ClientId client, client::GetData request);
  Reply get_end(ClientId client, client::GetEnd request);
  Reply get_shared(ClientId client, client::GetShared request);
  Reply share(client::Share request);
  Reply stat(client::Stat request);
  Reply list(client::List request);
  Reply remove(client::Delete request);
  Reply verify(client::Verify request);

  Reply read(ClientId client, std::unique_ptr<GetStream> stream, WantedRange wanted);
  using UploadPtr = std::shared_ptr<UploadSession>;

  Reply open_upload(ClientId client, ClientIdentity identity, const client::Put& request,
                    PutSpec spec);
  /// Open, or about to be, on all connections of a client, also those that were lost.
  std::size_t uploads_of(const ClientIdentity& identity) const;
  /// Takes a resumable upload from the connection that has it, or had it, of the same client.
  Result<UploadPtr> take_by_token(const ClientIdentity& identity, const Bytes& resume);
  Result<std::shared_ptr<UploadSession>> upload_of(ClientId client, std::uint64_t upload);
  void drop(UploadSession& session);
  client::Upload upload_reply(std::uint64_t upload) const;
  std::string name_of(const NodeId& node) const;
  client::Stored stored_reply(const WriteReceipt& receipt) const;

  NodeContext context_;
  std::function<std::shared_ptr<Gateway>()> gateway_;
  ClientServiceOptions options_;
  std::map<ClientId, Sessions> clients_;
  std::size_t uploads_ = 0;
  std::size_t downloads_ = 0;
  std::uint64_t last_session_ = 0;
  Durations small_puts_;
};

}  // namespace zerodb
