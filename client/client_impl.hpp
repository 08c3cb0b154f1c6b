#pragma once
// What is behind a zerodb::Client. Inside of client/.

#include "bus/client.hpp"
#include "zerodb/client.hpp"

namespace zerodb {

class Client::Impl {
 public:
  explicit Impl(BusClient connected) : bus(std::move(connected)) {}

  BusClient bus;
};

}  // namespace zerodb
