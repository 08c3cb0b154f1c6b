#include "bus/client_reconnection.hpp"

#include <chrono>
#include <thread>
#include <utility>

namespace zerodb {

namespace {

/// A node keeps an upload for twice as long.
constexpr std::chrono::seconds patience{60};
constexpr std::chrono::milliseconds pause{200};
constexpr int times_here_max = 10;

}  // namespace

Status ClientReconnection::at(std::uint64_t position) {
  if (std::exchange(position_, position) != position) times_here_ = 0;
  if (++times_here_ > times_here_max) {
    return fail(Errc::io, "the connection to the node breaks again and again");
  }
  channel_.tell_of_interruption();
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto there = channel_.begin();
    if (there || !channel_.lost() || std::chrono::steady_clock::now() > deadline) return there;
    std::this_thread::sleep_for(pause);
  }
}

}  // namespace zerodb
