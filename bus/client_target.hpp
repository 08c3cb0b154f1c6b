#pragma once
// The node that a client speaks to: how to get there, and how to say what is wrong. Inside of the
// client; one thread at a time.

#include <filesystem>
#include <optional>
#include <string>

#include <zmq.hpp>

#include "bus/client_credential.hpp"

namespace zerodb {

class ClientTarget {
 public:
  /// Through the socket in the node's data folder.
  static ClientTarget local(std::filesystem::path folder);
  /// Over the network. Copies the credential.
  static ClientTarget remote(const ClientCredential& credential);

  bool is_remote() const { return credential_.has_value(); }

  /// What can be known without connecting: most often, that no node runs here at all.
  Status check() const;

  /// Sets the socket up and starts to connect it.
  Status connect(zmq::socket_t& socket) const;

  Error not_there() const;
  Error silent_at_first() const;
  Error stopped() const;
  Error said_nothing(std::chrono::seconds time) const;

  /// The node, or who answers in its place, does not want this credential or does not hold the key
  /// that it names.
  Error refused() const;
  Error another_node() const;

 private:
  explicit ClientTarget(std::filesystem::path folder) : folder_(std::move(folder)) {}
  explicit ClientTarget(ClientCredential credential) : credential_(std::move(credential)) {}

  std::string shown() const;  ///< "the node on FOLDER", "the node at ENDPOINT"

  std::filesystem::path folder_;
  std::optional<ClientCredential> credential_;
};

/// With times that fit those of the system: nobody waits longer than 24 days, and not less than no
/// time.
ClientOptions bounded(ClientOptions options);

}  // namespace zerodb
