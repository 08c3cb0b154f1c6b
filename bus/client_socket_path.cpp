#include "bus/client_socket_path.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace zerodb {

namespace {

tl::unexpected<Error> not_allowed(const std::filesystem::path& path) {
  return fail(Errc::denied, printable(path.string()) + ": " + std::strerror(EACCES) +
                                ": use it as the user who runs the node");
}

}  // namespace

Status check_client_socket(const std::filesystem::path& folder) {
  const auto path = client_socket_path(folder);
  if (!path) return fail(path.error());
  std::error_code error;
  const bool there = std::filesystem::exists(folder, error);
  if (error == std::errc::permission_denied) return not_allowed(folder);
  if (!there) {
    return fail(Errc::io, printable(folder.string()) +
                              ": there is no such folder; make a node there with: zerodb-node "
                              "init --data " +
                              printable(folder.string()));
  }
  if (::access(path->c_str(), R_OK | W_OK) == 0) return {};
  if (errno == EACCES) return not_allowed(*path);
  return fail(no_node_on(folder));
}

}  // namespace zerodb
