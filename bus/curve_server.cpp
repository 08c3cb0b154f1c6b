#include "bus/curve_server.hpp"

namespace zerodb {

Result<std::shared_ptr<Socket>> open_curve_server(asio::io_context& io, BusContext& context,
                                                  ZapHandler& zap, const CurvePair& keys,
                                                  const CurveServerOptions& options) {
  auto opened = Socket::open(io, context, options.type);
  if (!opened) return opened;
  auto& socket = (*opened)->zmq();
  auto ready = set_limits(socket, options.limits);
  if (ready) ready = serve_curve(socket, keys, options.domain);
  if (ready) ready = prove_refusal(context, zap, socket, keys.public_key);
  if (!ready) return fail(std::move(ready.error()));
  return opened;
}

}  // namespace zerodb
