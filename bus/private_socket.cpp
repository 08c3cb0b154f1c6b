#include "bus/private_socket.hpp"

#include <sys/stat.h>

#include "bus/client_socket_path.hpp"

namespace zerodb {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view scheme = "ipc://";

/// Only a socket may be replaced.
Status check_is_free(const fs::path& path) {
  if (path.string().size() > socket_path_bytes_max) return fail(too_long_for_socket(path));
  std::error_code ignored;
  const auto kind = fs::status(path, ignored).type();
  if (kind == fs::file_type::not_found || kind == fs::file_type::socket) return {};
  return fail(Errc::invalid,
              printable(path.string()) + ": is in the way, and is not a socket; move it elsewhere");
}

/// What is made meanwhile is for this user alone.
class PrivateFiles {
 public:
  PrivateFiles() : before_(::umask(0177)) {}
  ~PrivateFiles() { ::umask(before_); }
  PrivateFiles(const PrivateFiles&) = delete;
  PrivateFiles& operator=(const PrivateFiles&) = delete;

 private:
  mode_t before_;
};

}  // namespace

Result<fs::path> bind_to_private_file(zmq::socket_t& socket, const std::string& endpoint) {
  const fs::path path = endpoint.starts_with(scheme) ? endpoint.substr(scheme.size()) : endpoint;
  if (auto is_free = check_is_free(path); !is_free) return fail(std::move(is_free.error()));
  const PrivateFiles between;
  socket.bind(endpoint_of(path));
  return path;
}

}  // namespace zerodb
