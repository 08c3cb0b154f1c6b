#pragma once
// The request that starts a put, of what a caller asks for. Pure function.

#include <utility>

#include "bus/client_message.hpp"
#include "zerodb/object.hpp"

namespace zerodb {

inline client::Put put_request(std::string key, PutOptions options) {
  client::Put request{.key = std::move(key), .size = options.size, .mtime_ms = options.mtime_ms};
  if (!options.media_type.empty()) request.media_type = std::move(options.media_type);
  if (!options.attributes.empty()) request.attributes = std::move(options.attributes);
  request.if_version = options.if_version;
  if (options.if_absent) request.if_absent = true;
  return request;
}

}  // namespace zerodb
