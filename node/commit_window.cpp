#include "node/commit_window.hpp"

#include <algorithm>

namespace zerodb {

namespace {

constexpr Milliseconds watch_interval{20};
constexpr double patience_regained = 0.2;  ///< ms in each ms

}  // namespace

struct CommitWindow::State {
  State(Runtime& of, Stragglers& those_slow, CommitWindowOptions with)
      : runtime(of), slow(those_slow), options(with), changed(of) {}

  struct Lane {
    std::size_t under_way = 0;
    double held_up_ms = 0;         ///< of patience, used and not regained
    std::uint64_t counted_ms = 0;  ///< steady: until when
  };

  bool is_full(const Lane& lane) const { return lane.under_way >= options.commits_max; }
  bool holds_up(const NodeId& node) const;
  bool is_one_held_up() const;
  void count(const NodeId& node, Lane& lane);

  Runtime& runtime;
  Stragglers& slow;
  CommitWindowOptions options;
  std::map<NodeId, Lane> lanes;
  bool watching = false;
  bool closed = false;
  Wakeup changed;
};

bool CommitWindow::State::holds_up(const NodeId& node) const {
  const auto lane = lanes.find(node);
  return lane != lanes.end() && is_full(lane->second) && !slow.has(node);
}

bool CommitWindow::State::is_one_held_up() const {
  return std::ranges::any_of(lanes, [this](const auto& each) { return holds_up(each.first); });
}

/// What passed since it was counted last, for which the lane was what it is now.
void CommitWindow::State::count(const NodeId& node, Lane& lane) {
  const auto now = runtime.steady_ms();
  const auto passed = static_cast<double>(now - std::exchange(lane.counted_ms, now));
  if (!holds_up(node)) {
    lane.held_up_ms = std::max(0.0, lane.held_up_ms - passed * patience_regained);
    return;
  }
  lane.held_up_ms += passed;
  if (lane.held_up_ms < static_cast<double>(options.patience.count())) return;
  slow.note(node);
  lane.held_up_ms = 0;
}

CommitWindow::CommitWindow(Runtime& runtime, Stragglers& slow, CommitWindowOptions options)
    : state_(std::make_shared<State>(runtime, slow, options)) {}

CommitWindow::~CommitWindow() {
  close();
}

void CommitWindow::close() {
  state_->closed = true;
}

Task<void> CommitWindow::wait(std::vector<NodeId> nodes) {
  const auto state = state_;
  const auto holds_up = [&](const NodeId& node) { return state->holds_up(node); };
  while (std::ranges::any_of(nodes, holds_up)) {
    if (!std::exchange(state->watching, true)) spawn(state->runtime, watch(state));
    co_await state->changed.wait();
  }
}

std::shared_ptr<const void> CommitWindow::begin(const NodeId& node) {
  auto& lane = state_->lanes[node];
  state_->count(node, lane);
  ++lane.under_way;
  const auto end = [state = state_, node](const void*) {
    if (state->closed) return;
    auto& ended = state->lanes.at(node);
    const bool was_full = state->is_full(ended);
    state->count(node, ended);
    --ended.under_way;
    if (was_full && !state->is_full(ended)) state->changed.notify();
  };
  return {state_.get(), end};
}

/// As long as anything is held up: a node that answers nothing ends no commit.
Task<void> CommitWindow::watch(std::shared_ptr<State> state) {
  while (state->is_one_held_up()) {
    co_await state->runtime.sleep(watch_interval);
    if (state->closed) co_return;
    for (auto& [node, lane] : state->lanes)
      state->count(node, lane);
    state->changed.notify();
  }
  state->watching = false;
}

}  // namespace zerodb
