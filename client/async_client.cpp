#include "zerodb/async_client.hpp"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_future.hpp>
#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>

#include "bus/async_transfer.hpp"
#include "bus/context.hpp"
#include "bus/or_broken_off.hpp"
#include "bus/put_request.hpp"
#include "client/public_types.hpp"
#include "store/keys.hpp"

namespace zerodb {

using library::shown;

namespace {

/// How much is under way. Callers' threads wait here for room, the client's own gives it back.
class Room {
 public:
  Room(std::size_t requests_max, std::size_t bytes_max)
      : requests_max_(requests_max), bytes_max_(bytes_max) {}

  void take(std::size_t bytes) {
    std::unique_lock lock(mutex_);
    given_back_.wait(lock, [&] { return has_room(0, 0, bytes); });
    ++requests_;
    bytes_ += bytes;
  }

  /// For who must not wait: in place of `ended` bytes of a request that ended, if there is one;
  /// `busy` if there is no room.
  Status take_now(std::size_t bytes, std::optional<std::size_t> ended) {
    {
      const std::lock_guard lock(mutex_);
      if (!has_room(ended ? 1 : 0, ended.value_or(0), bytes)) {
        return fail(Errc::busy, "as many requests as this client may have are under way");
      }
      requests_ += ended ? 0 : 1;
      bytes_ += bytes - ended.value_or(0);
    }
    given_back_.notify_all();
    return {};
  }

  void give_back(std::size_t bytes) {
    {
      const std::lock_guard lock(mutex_);
      --requests_;
      bytes_ -= bytes;
    }
    given_back_.notify_all();  // one that waits may need more room than another
  }

 private:
  bool has_room(std::size_t requests_ended, std::size_t bytes_ended, std::size_t bytes) const {
    const auto held = bytes_ - bytes_ended;
    return requests_ - requests_ended < requests_max_ && (held == 0 || held + bytes <= bytes_max_);
  }

  const std::size_t requests_max_;
  const std::size_t bytes_max_;
  std::mutex mutex_;
  std::condition_variable given_back_;
  std::size_t requests_ = 0;
  std::size_t bytes_ = 0;
};

template <class T>
std::pair<AsyncClient::Callback<T>, AsyncClient::Future<T>> promise() {
  auto made = std::make_shared<std::promise<Result<T>>>();
  auto future = made->get_future();
  return {[made](Result<T> result) { made->set_value(std::move(result)); }, std::move(future)};
}

/// A thread that leaves all signals to the program's own.
template <class Run>
std::thread quiet_thread(Run run) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(std::move(run));
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

class AsyncClient::Impl {
 public:
  Impl(BusContext context, const AsyncOptions& options)
      : context_(std::move(context)),
        options_(options),
        room_(std::max<std::size_t>(options.requests_max, 1), options.bytes_max),
        work_(io_.get_executor()),
        thread_(quiet_thread([this] { io_.run(); })) {}

  /// Everything under way ends before the thread does.
  ~Impl() {
    asio::post(io_, [this] {
      closing_ = true;
      if (transfers_) transfers_->channel->stop({Errc::io, "the client was closed"});
    });
    work_.reset();
    thread_.join();
  }

  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Status connect(const std::filesystem::path& folder) {
    auto channel =
        asio::co_spawn(io_, AsyncChannel::open(io_, context_, folder, options_.connection),
                       asio::use_future)
            .get();
    if (!channel) return fail(std::move(channel.error()));
    transfers_ = std::make_shared<AsyncTransfers>(std::move(*channel));
    return {};
  }

  const AsyncOptions& options() const { return options_; }

  /// Starts `work`, which makes the coroutine, on the client's thread when there is room for it.
  template <class T, class Work>
  void launch(std::size_t bytes, Work work, Callback<T> done) {
    if (std::this_thread::get_id() != thread_.get_id()) {
      room_.take(bytes);
    } else if (closing_) {
      return;  // a callback that tries again would do so without end
    } else if (auto room = room_.take_now(bytes, ended_); !room) {
      return done(fail(std::move(room.error())));
    } else {
      ended_.reset();
    }
    asio::co_spawn(io_, run<T>(std::move(work), bytes, std::move(done)), asio::detached);
  }

  /// The same for calls about one object, whose key may be wrong.
  template <class T, class Work>
  void launch_about(const std::string& key, std::size_t bytes, Work work, Callback<T> done) {
    if (auto named = check_name(key); !named) return done(fail(std::move(named.error())));
    launch<T>(bytes, std::move(work), std::move(done));
  }

 private:
  /// The next request that the callback makes has the room of this one.
  template <class T, class Work>
  Task<void> run(Work work, std::size_t bytes, Callback<T> done) {
    auto work_on_transfers = [&] { return work(transfers_); };
    auto result = co_await or_broken_off(work_on_transfers);
    ended_ = bytes;
    done(shown(std::move(result)));
    if (ended_) room_.give_back(*ended_);
    ended_.reset();
  }

  BusContext context_;  // closed last
  AsyncOptions options_;
  Room room_;
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  std::shared_ptr<AsyncTransfers> transfers_;
  std::optional<std::size_t> ended_;  ///< bytes of the request whose callback runs: its thread's
  bool closing_ = false;              ///< its thread's
  std::thread thread_;
};

Result<AsyncClient> AsyncClient::connect(const std::filesystem::path& folder,
                                         AsyncOptions options) {
  auto context = BusContext::open();
  if (!context) return fail(std::move(context.error()));
  auto impl = std::make_unique<Impl>(std::move(*context), options);
  if (auto connected = impl->connect(folder); !connected) return fail(std::move(connected.error()));
  return AsyncClient(std::move(impl));
}

AsyncClient::AsyncClient(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
AsyncClient::AsyncClient(AsyncClient&&) noexcept = default;
AsyncClient& AsyncClient::operator=(AsyncClient&&) noexcept = default;
AsyncClient::~AsyncClient() = default;

// ------------------------------------------------------------------------------------- callbacks

void AsyncClient::put(std::string key, Bytes content, PutOptions options, Callback<Stored> done) {
  auto request = put_request(key, std::move(options));
  const auto bytes = content.size();
  auto payload = Payload::take(std::move(content));
  impl_->launch_about<Stored>(
      key, bytes,
      [request = std::move(request), payload = std::move(payload)](auto transfers) mutable {
        return put_object(transfers, std::move(request), std::move(payload));
      },
      std::move(done));
}

void AsyncClient::get(std::string key, std::optional<ByteRange> range, Callback<Bytes> done) {
  client::Get request{.key = key};
  if (range) {
    request.first = range->first;
    request.last = range->last;
  }
  impl_->launch_about<Bytes>(
      key, 0,
      [request = std::move(request), most = impl_->options().object_bytes_max](auto transfers) {
        return get_object(transfers, request, most);
      },
      std::move(done));
}

void AsyncClient::stat(std::string key, Callback<ObjectInfo> done) {
  impl_->launch_about<ObjectInfo>(
      key, 0,
      [key](auto transfers) {
        return AsyncChannel::ask(transfers->channel, client::Stat{.key = key});
      },
      std::move(done));
}

void AsyncClient::list_page(std::string prefix, std::string after, std::uint32_t limit,
                            Callback<ListPage> done) {
  impl_->launch<ListPage>(
      0,
      [request =
           client::List{.prefix = std::move(prefix), .after = std::move(after), .limit = limit}](
          auto transfers) { return AsyncChannel::ask(transfers->channel, request); },
      std::move(done));
}

void AsyncClient::remove(std::string key, std::optional<std::uint64_t> if_version,
                         Callback<Stored> done) {
  impl_->launch_about<Stored>(
      key, 0,
      [key, if_version](auto transfers) {
        return AsyncChannel::ask(transfers->channel,
                                 client::Delete{.key = key, .if_version = if_version});
      },
      std::move(done));
}

// --------------------------------------------------------------------------------------- futures

AsyncClient::Future<Stored> AsyncClient::put(std::string key, Bytes content, PutOptions options) {
  auto [done, future] = promise<Stored>();
  put(std::move(key), std::move(content), std::move(options), std::move(done));
  return std::move(future);
}

AsyncClient::Future<Bytes> AsyncClient::get(std::string key, std::optional<ByteRange> range) {
  auto [done, future] = promise<Bytes>();
  get(std::move(key), range, std::move(done));
  return std::move(future);
}

AsyncClient::Future<ObjectInfo> AsyncClient::stat(std::string key) {
  auto [done, future] = promise<ObjectInfo>();
  stat(std::move(key), std::move(done));
  return std::move(future);
}

AsyncClient::Future<ListPage> AsyncClient::list_page(std::string prefix, std::string after,
                                                     std::uint32_t limit) {
  auto [done, future] = promise<ListPage>();
  list_page(std::move(prefix), std::move(after), limit, std::move(done));
  return std::move(future);
}

AsyncClient::Future<Stored> AsyncClient::remove(std::string key,
                                                std::optional<std::uint64_t> if_version) {
  auto [done, future] = promise<Stored>();
  remove(std::move(key), if_version, std::move(done));
  return std::move(future);
}

}  // namespace zerodb
