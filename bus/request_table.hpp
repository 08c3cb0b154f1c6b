#pragma once
// Requests sent to one peer and not answered yet. One thread: the io_context's.

#include <asio/io_context.hpp>
#include <asio/steady_timer.hpp>
#include <memory>
#include <optional>
#include <unordered_map>

#include "bus/links.hpp"

namespace zerodb {

/// Which of a peer's connections: never used twice, so an answer cannot come in by another door.
using LaneNumber = std::uint64_t;

class RequestTable {
 public:
  explicit RequestTable(asio::io_context& io) : io_(io) {}

  std::size_t size() const { return waiting_.size(); }
  std::uint64_t next_id() { return ++last_id_; }

  /// Waits for the answer to request `id`, which went out on `lane`; nothing if none comes in time.
  /// The table may end meanwhile.
  static Task<std::optional<Result<PeerAnswer>>> await_answer(std::shared_ptr<RequestTable> table,
                                                              std::uint64_t id, LaneNumber lane,
                                                              Milliseconds timeout);

  /// False if nobody waits for that, or expects it on another lane.
  bool answer(std::uint64_t id, LaneNumber lane, Result<PeerAnswer> answer);

  /// Everyone gets `error`.
  void fail_all(const Error& error);

 private:
  struct Waiting {
    Waiting(asio::io_context& io, Milliseconds timeout, LaneNumber on)
        : timer(io, timeout), lane(on) {}
    asio::steady_timer timer;  ///< cancelled by the answer
    LaneNumber lane;
    std::optional<Result<PeerAnswer>> answer;
  };

  asio::io_context& io_;
  std::uint64_t last_id_ = 0;
  std::unordered_map<std::uint64_t, std::shared_ptr<Waiting>> waiting_;
};

}  // namespace zerodb
