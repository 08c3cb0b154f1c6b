#pragma once
// Lies that speak unasked and past the daemon's own limits: over sockets of their own, made with
// the member's key, on a thread of their own.

#include <atomic>
#include <string>
#include <thread>
#include <vector>
#include <zmq.hpp>

#include "tests/hostile/lie.hpp"

namespace zerodb::hostile {

/// A CURVE DEALER to another member's ROUTER. One thread.
class RawLane {
 public:
  RawLane(zmq::context_t& context, const CurvePair& keys, const PeerAddress& to,
          int receive_messages_max = 1000);

  /// False if that takes longer than a moment: the other side does not read as fast.
  bool send(const std::vector<std::string>& frames);
  bool send(std::uint64_t id, const peer::Request& request, ByteView payload = {});
  /// Reads away what has arrived.
  void drain();
  zmq::socket_t& socket() { return socket_; }

 private:
  zmq::socket_t socket_;
};

class Shouting : public Lie {
 public:
  ~Shouting() override { silence(); }
  void begin(const DaemonParts& parts) override;

 protected:
  /// Speaks until told to end, on a thread of its own.
  virtual void shout(const std::vector<PeerAddress>& others) = 0;

  /// To be called by the destructor of whoever has members that shout() uses.
  void silence();
  bool goes_on() const { return !ended_; }
  const CurvePair& keys() const { return parts_->keys.curve; }
  const DaemonParts& parts() const { return *parts_; }
  std::vector<RawLane> lanes(const std::vector<PeerAddress>& others, int receive_messages_max);
  std::uint64_t next_id() { return ++last_id_; }

 private:
  Task<void> wait_for_addresses();
  std::vector<PeerAddress> addresses() const;

  const DaemonParts* parts_ = nullptr;
  zmq::context_t context_;
  std::atomic<bool> ended_ = false;
  std::uint64_t last_id_ = 0;
  std::thread thread_;
};

}  // namespace zerodb::hostile
