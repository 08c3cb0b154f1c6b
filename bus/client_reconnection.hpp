#pragma once
// How a transfer over the network comes back from a lost connection. Inside of BusClient; one
// thread at a time.

#include <cstdint>

#include "bus/client_channel.hpp"

namespace zerodb {

class ClientReconnection {
 public:
  explicit ClientReconnection(ClientChannel& channel) : channel_(channel) {}

  /// To be called when the connection is lost and the transfer has come to byte `position` of its
  /// object. Tries for a minute to be connected again. An error if that does not help, if the node
  /// says no, or if ten connections in a row brought the transfer no further.
  Status at(std::uint64_t position);

 private:
  ClientChannel& channel_;
  std::uint64_t position_ = 0;
  int times_here_ = 0;
};

}  // namespace zerodb
