#include "bus/context.hpp"

#include <zmq.hpp>

namespace zerodb {

Result<BusContext> BusContext::open(const BusContextOptions& options) {
  try {
    auto context = std::make_unique<zmq::context_t>(options.io_threads, options.max_sockets);
    return BusContext(std::move(context));
  } catch (const zmq::error_t& error) {
    return fail(Errc::io, std::string("cannot start ZeroMQ: ") + error.what());
  }
}

BusContext::BusContext(std::unique_ptr<zmq::context_t> context) : context_(std::move(context)) {}
BusContext::BusContext(BusContext&&) noexcept = default;
BusContext& BusContext::operator=(BusContext&&) noexcept = default;
BusContext::~BusContext() = default;

}  // namespace zerodb
