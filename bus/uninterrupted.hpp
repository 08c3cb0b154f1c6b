#pragma once
// Calls of libzmq that a signal does not end. Any thread.

#include <cerrno>
#include <zmq.hpp>

namespace zerodb {

/// Makes a call of libzmq until no signal interrupts it, which it may even if it does not wait.
template <class Call>
auto uninterrupted(Call call) {
  for (;;) {
    try {
      return call();
    } catch (const zmq::error_t& error) {
      if (error.num() != EINTR) throw;
    }
  }
}

}  // namespace zerodb
