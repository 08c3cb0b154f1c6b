#pragma once
// Where a node's client socket lies, for both of its ends, and what to say when nobody is there.
// Thread-safe: they keep nothing.

#include <filesystem>
#include <string>

#include "store/bytes.hpp"

namespace zerodb {

inline constexpr std::size_t socket_path_bytes_max = 107;  ///< sun_path, less its final zero

inline Error too_long_for_socket(const std::filesystem::path& path) {
  return {Errc::invalid,
          printable(path.string()) + ": too long for a socket's path, " +
              std::to_string(path.string().size()) + " bytes where " +
              std::to_string(socket_path_bytes_max) +
              " are allowed: use a folder with a shorter path, or a symbolic link to this one"};
}

/// FOLDER/client.sock; `invalid` when the system allows no socket of such a long path.
inline Result<std::filesystem::path> client_socket_path(const std::filesystem::path& folder) {
  auto path = folder / "client.sock";
  if (path.string().size() > socket_path_bytes_max) return fail(too_long_for_socket(path));
  return path;
}

inline std::string endpoint_of(const std::filesystem::path& socket) {
  return "ipc://" + socket.string();
}

inline Error no_node_on(const std::filesystem::path& folder) {
  const auto shown = printable(folder.string());
  return {Errc::io,
          "no node is running on " + shown + "; start it with: zerodb-node run --data " + shown};
}

inline Error node_stopped(const std::filesystem::path& folder) {
  const auto shown = printable(folder.string());
  return {Errc::io,
          "the node on " + shown + " stopped; start it with: zerodb-node run --data " + shown};
}

/// What can be known without connecting: most often, that no node runs here at all.
Status check_client_socket(const std::filesystem::path& folder);

}  // namespace zerodb
