#pragma once
// A node that keeps objects in memory behind a real client port, with the faults a test asks for.
// It runs on a thread of its own; what tests look at is behind a mutex.

#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/redirect_error.hpp>
#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>
#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "bus/client_port.hpp"
#include "tests/support/temp_dir.hpp"

namespace zerodb::test {

struct FakeNodeOptions {
  std::uint32_t chunk_bytes = 1 << 20;
  std::uint64_t credit = 4 << 20;
  std::size_t requests_per_client_max = 256;
  std::size_t client_bytes_max = 64 << 20;
};

class FakeNode : public ClientHandler {
 public:
  explicit FakeNode(FakeNodeOptions options = {});
  ~FakeNode() override;

  const std::filesystem::path& folder() const { return folder_.path(); }
  std::string endpoint() const { return "ipc://" + (folder() / "client.sock").string(); }

  void start();
  void stop();  ///< as if the daemon ended

  /// Waits until `done` holds of what is below; false if that takes too long.
  bool eventually(std::function<bool()> done);
  template <class Look>
  auto look(Look look_at) {
    const std::lock_guard lock(mutex_);
    return look_at();
  }

  /// Lets requests that wait because of `held` go on.
  void release();

  // Behind the mutex: use look() and eventually().
  std::map<std::string, Bytes> objects;
  std::map<std::string, client::Put> puts;
  std::vector<std::string> started;    ///< names of the requests, in the order they started
  std::vector<std::uint64_t> offsets;  ///< of every put_data with a payload
  std::vector<ClientId> gone;
  std::set<ClientId> seen;
  std::map<ClientId, ClientIdentity> identities;
  std::uint64_t version = 1;
  std::uint64_t unanswered_bytes = 0;  ///< of put_data
  std::uint64_t unanswered_bytes_max = 0;
  std::string held;         ///< requests of this name wait for release()
  std::size_t waiting = 0;  ///< such requests
  std::string failing;      ///< requests of this name fail with `failure`
  Error failure{Errc::no_quorum, "as the test wants it"};
  std::string throwing;                   ///< requests of this name find no memory
  bool short_answers = false;             ///< get and get_data leave out a byte
  std::size_t forget_download_after = 0;  ///< parts; once
  std::function<void()> on_forgotten;

 private:
  struct Upload {
    std::string key;
    std::map<std::uint64_t, Bytes> chunks;  ///< by offset
  };
  struct Download {
    std::string key;
    std::size_t parts = 0;
  };

  Task<Result<ClientAnswer>> on_client_request(ClientId client, ClientIdentity identity,
                                               client::Request request, Payload payload) override;
  void on_client_gone(ClientId client) override;
  Task<void> wait_while_held(std::string name);
  Result<ClientAnswer> answer(client::Request request, Payload payload);

  Result<ClientAnswer> on(const client::Put& put, const Payload& payload);
  Result<ClientAnswer> on(const client::PutData& data, const Payload& payload);
  Result<ClientAnswer> on(const client::PutEnd& end, const Payload&);
  Result<ClientAnswer> on(const client::PutAbort& abort, const Payload&);
  Result<ClientAnswer> on(const client::Get& get, const Payload&);
  Result<ClientAnswer> on(const client::GetData& data, const Payload&);
  Result<ClientAnswer> on(const client::GetEnd& end, const Payload&);
  Result<ClientAnswer> on(const client::Stat& stat, const Payload&);
  Result<ClientAnswer> on(const client::List& list, const Payload&);
  Result<ClientAnswer> on(const client::Delete& gone_key, const Payload&);
  Result<ClientAnswer> on(const client::Status&, const Payload&);
  Result<ClientAnswer> on(const client::Invite& invite, const Payload&);
  Result<ClientAnswer> on(const client::OwnerShow&, const Payload&);
  Result<ClientAnswer> on(const client::OwnerExport&, const Payload&);
  Result<ClientAnswer> on(const client::OwnerImport& import, const Payload&);
  template <class Administration>
  Result<ClientAnswer> on(const Administration&, const Payload&) {
    return fail(Errc::denied, "a fake node administers nothing");
  }
  client::Upload grant(std::uint64_t upload) const;
  Result<ClientAnswer> stored(std::uint64_t size) const;
  Result<client::ObjectInfo> info(const std::string& key) const;
  Payload part(const std::string& key, std::uint64_t first, std::uint64_t length) const;

  FakeNodeOptions options_;
  TempDir folder_;
  std::unique_ptr<asio::io_context> io_;
  std::unique_ptr<asio::steady_timer> holding_;
  std::unique_ptr<BusContext> context_;
  std::unique_ptr<ClientPort> port_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::uint64_t, Upload> uploads_;
  std::map<std::uint64_t, Download> downloads_;
  std::uint64_t last_number_ = 0;
};

}  // namespace zerodb::test
