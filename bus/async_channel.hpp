#pragma once
// A client's connection for many requests at once: one DEALER, whose replies find their requests by
// id, and a watch on whether the node is there. Under AsyncClient. One thread: the io_context's.

#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <unordered_map>

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>

#include "bus/expect_reply.hpp"
#include "bus/links.hpp"
#include "bus/socket.hpp"
#include "zerodb/object.hpp"

namespace zerodb {

class AsyncChannel : public std::enable_shared_from_this<AsyncChannel> {
 public:
  struct Answer {
    client::Reply message;
    Payload payload;
  };

  /// A request that was made. Its answer may come before anybody waits for it.
  class Pending {
   public:
    explicit Pending(asio::io_context& io) : ended_(io, asio::steady_timer::time_point::max()) {}

    /// Waits for the answer. One coroutine, once.
    static Task<Result<Answer>> answer(std::shared_ptr<Pending> pending);

   private:
    friend class AsyncChannel;
    void end(Result<Answer> result);

    asio::steady_timer ended_;  ///< cancelled when there is a result
    std::optional<Result<Answer>> result_;
  };

  /// Answers once the node is connected; errors as of BusClient::connect.
  static Task<Result<std::shared_ptr<AsyncChannel>>> open(asio::io_context& io, BusContext& context,
                                                          std::filesystem::path folder,
                                                          ClientOptions options);

  AsyncChannel(asio::io_context& io, std::filesystem::path folder, ClientOptions options,
               std::shared_ptr<Socket> socket, std::shared_ptr<Socket> monitor);

  /// Makes a request. It is sent at once, or when the node has room for it or is back. Callers
  /// bound how many they make.
  std::shared_ptr<Pending> start(client::Request request, Payload payload = {});

  /// One request and the reply it asks for.
  template <class Request>
  static Task<Result<typename Request::Reply>> ask(std::shared_ptr<AsyncChannel> channel,
                                                   Request request);

  /// Every request under way fails with `error`, and so do later ones. Closes the sockets.
  void stop(const Error& error);

  asio::io_context& io() { return io_; }

 private:
  using Clock = std::chrono::steady_clock;
  struct UnsentRequest {
    std::uint64_t id = 0;
    Payload header;
    Payload payload;
    std::shared_ptr<Pending> pending;
    Clock::time_point since;
  };
  struct SentRequest {
    std::size_t bytes = 0;
    std::shared_ptr<Pending> pending;
  };

  static Task<void> read_replies(std::shared_ptr<AsyncChannel> self);
  static Task<void> watch_connection(std::shared_ptr<AsyncChannel> self);
  static Task<void> watch_clock(std::shared_ptr<AsyncChannel> self);
  Status connect();
  void send_waiting();
  void take_reply(const Inbound& inbound);
  void on_connection_event(const Inbound& event);
  void look_at_clock();
  Error said_nothing() const;
  void fail_sent(const Error& error);
  void fail_unsent(const Error& error);

  asio::io_context& io_;
  std::filesystem::path folder_;
  ClientOptions options_;
  std::shared_ptr<Socket> socket_;
  std::shared_ptr<Socket> monitor_;
  asio::steady_timer changed_;  ///< cancelled when the connection comes or fails
  bool connected_ = false;
  bool refused_ = false;          ///< an attempt to connect failed
  std::optional<Error> stopped_;  ///< with what later requests fail
  asio::steady_timer clock_;
  bool clock_watched_ = false;
  std::uint64_t last_id_ = 0;
  std::deque<UnsentRequest> unsent_;
  std::unordered_map<std::uint64_t, SentRequest> sent_;
  std::size_t sent_bytes_ = 0;
  Clock::time_point heard_;  ///< when the node last answered, or was first asked after a silence
};

/// Takes the message; the payload stays.
template <class Reply>
Result<Reply> expect_reply(Result<AsyncChannel::Answer>& answer) {
  if (!answer) return fail(std::move(answer.error()));
  return expect_reply<Reply>(Result<client::Reply>(std::move(answer->message)));
}

template <class Request>
Task<Result<typename Request::Reply>> AsyncChannel::ask(std::shared_ptr<AsyncChannel> channel,
                                                        Request request) {
  auto answer = co_await Pending::answer(channel->start(client::Request(std::move(request))));
  co_return expect_reply<typename Request::Reply>(answer);
}

}  // namespace zerodb
