#pragma once
// How long the latest of some calls took. One thread: the node's executor.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace zerodb {

class Durations {
 public:
  static constexpr std::size_t kept_max = 4096;

  void add(std::uint64_t us) {
    if (latest_.size() < kept_max) {
      latest_.push_back(us);
    } else {
      latest_[next_] = us;
      next_ = (next_ + 1) % kept_max;
    }
  }

  std::size_t count() const { return latest_.size(); }

  /// Microseconds that `per_cent` of the calls did not exceed; 0 if there were none.
  std::uint64_t percentile_us(std::size_t per_cent) const {
    if (latest_.empty()) return 0;
    auto sorted = latest_;
    const auto at =
        sorted.begin() + static_cast<std::ptrdiff_t>((sorted.size() - 1) * per_cent / 100);
    std::nth_element(sorted.begin(), at, sorted.end());
    return *at;
  }

 private:
  std::vector<std::uint64_t> latest_;
  std::size_t next_ = 0;  ///< the oldest, once all room is used
};

}  // namespace zerodb
