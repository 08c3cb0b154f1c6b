#pragma once
// What those said who did not give what several nodes were asked for in turn. Thread-safe: a plain
// value.

#include <utility>

#include "store/result.hpp"

namespace zerodb {

class HolderErrors {
 public:
  void add(Error error) {
    // That this node is wrong to ask is only that holder's word.
    if (error.code == Errc::denied) error.code = Errc::invalid;
    const bool tells_more = error.code != Errc::not_found || error_.code == Errc::not_found;
    if (tells_more) error_ = std::move(error);
  }

  /// `not_found` only if nobody said anything else: who did may hold it all the same.
  const Error& error() const { return error_; }

 private:
  Error error_{Errc::not_found, "fetch: no node to fetch from"};
};

}  // namespace zerodb
