#pragma once
// Sockets that other machines may knock on. One thread: the io_context's.

#include <memory>

#include "bus/curve.hpp"
#include "bus/socket.hpp"
#include "bus/zap.hpp"

namespace zerodb {

struct CurveServerOptions {
  zmq::socket_type type = zmq::socket_type::router;
  std::string_view domain;
  SocketLimits limits;
};

/// A CURVE server that was seen to refuse a stranger. Not bound yet.
Result<std::shared_ptr<Socket>> open_curve_server(asio::io_context& io, BusContext& context,
                                                  ZapHandler& zap, const CurvePair& keys,
                                                  const CurveServerOptions& options);

}  // namespace zerodb
