#pragma once
// What stands in front of a liar's node: hears other members in its place, lets each lie say or
// twist what it wants, and has the real node do the rest. One thread: the daemon's network thread.

#include <vector>

#include "tests/hostile/lie.hpp"

namespace zerodb::hostile {

class Liar final : public LinkHandler {
 public:
  Liar(const DaemonParts& parts, std::vector<std::unique_ptr<Lie>> lies);

  Task<Result<PeerAnswer>> on_request(Caller caller, peer::Request request,
                                      Payload payload) override;
  bool is_news(const broadcast::Message& message) const override;
  void on_broadcast(NodeId from, broadcast::Message message) override;
  void on_link_up(NodeId node) override { parts_.node.on_link_up(node); }
  void on_link_down(NodeId node) override { parts_.node.on_link_down(node); }

 private:
  peer::Hello hello() const;
  void twist_greeting(PeerAnswer& answer) const;

  DaemonParts parts_;
  std::vector<std::unique_ptr<Lie>> lies_;
};

}  // namespace zerodb::hostile
