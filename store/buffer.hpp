#pragma once
// Payload: an immutable run of bytes that several holders share without copying it.
// A sealed chunk goes to the local disk and to two lanes at once, and the message it arrived in
// must outlive all three: that is the reason for shared ownership here. Thread-safe once made.

#include <memory>
#include <utility>

#include "store/bytes.hpp"

namespace zerodb {

class Payload {
 public:
  Payload() = default;

  /// `view` stays valid for as long as `keep` is held.
  Payload(std::shared_ptr<const void> keep, ByteView view) : keep_(std::move(keep)), view_(view) {}

  static Payload take(Bytes bytes) {
    auto kept = std::make_shared<const Bytes>(std::move(bytes));
    const ByteView view(*kept);
    return {std::move(kept), view};
  }

  static Payload copy_of(ByteView bytes) { return take(to_bytes(bytes)); }

  ByteView view() const { return view_; }
  std::size_t size() const { return view_.size(); }
  bool empty() const { return view_.empty(); }

  /// The part [offset, offset + length), clipped to this payload; shares the same memory.
  Payload slice(std::size_t offset, std::size_t length) const {
    const auto from = std::min(offset, view_.size());
    return {keep_, view_.subspan(from, std::min(length, view_.size() - from))};
  }

 private:
  std::shared_ptr<const void> keep_;
  ByteView view_;
};

}  // namespace zerodb
