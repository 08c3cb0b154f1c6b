#pragma once
// One question to several nodes at once. The asker goes on as soon as it has answers enough; the
// other calls end behind it, and what they answer is dropped with the FanOut. One thread: the
// node's executor.

#include <algorithm>
#include <memory>
#include <optional>
#include <vector>

#include "node/wakeup.hpp"

namespace zerodb {

template <class Answer>
class FanOut {
 public:
  struct Slot {
    NodeId node;
    std::optional<Answer> answer;  ///< nothing yet: still under way
    bool taken = false;
  };

  explicit FanOut(Runtime& runtime) : state_(std::make_shared<State>(runtime)) {}
  FanOut(FanOut&&) noexcept = default;
  FanOut& operator=(FanOut&&) = delete;
  ~FanOut() {
    if (state_) state_->close();
  }

  /// Starts `call`, which is the question to `node`.
  void ask(const NodeId& node, Task<Answer> call) {
    state_->slots.push_back({.node = node, .taken = false});
    spawn(state_->runtime, keep_answer(state_, state_->slots.size() - 1, std::move(call)));
  }

  const std::vector<Slot>& slots() const { return state_->slots; }

  /// Nothing if it was not asked.
  const Slot* find(const NodeId& node) const {
    const auto slot = std::ranges::find(slots(), node, &Slot::node);
    return slot != slots().end() ? &*slot : nullptr;
  }

  bool all_answered() const {
    return std::ranges::all_of(slots(), [](const Slot& slot) { return slot.answer.has_value(); });
  }

  /// An answer not taken before, or nothing.
  std::optional<std::pair<NodeId, Answer>> take() {
    for (auto& slot : state_->slots) {
      if (!slot.answer || slot.taken) continue;
      slot.taken = true;
      return std::pair(slot.node, std::move(*slot.answer));
    }
    return {};
  }

  /// Until another answer came, or the alarm. Look again before: an answer may have come already.
  Task<void> changed() { return wait(state_); }

  /// Sounds once after `duration`, unless it is set again before.
  void set_alarm(Milliseconds duration) {
    state_->alarmed = false;
    spawn(state_->runtime, sound_alarm(state_->runtime, state_, ++state_->alarm, duration));
  }
  bool alarmed() const { return state_->alarmed; }

 private:
  struct State {
    explicit State(Runtime& of) : runtime(of), wakeup(of) {}
    void close() {
      closed = true;
      slots.clear();
    }

    Runtime& runtime;
    Wakeup wakeup;
    std::vector<Slot> slots;
    std::uint64_t alarm = 0;  ///< which one is set
    bool alarmed = false;
    bool closed = false;
  };

  static Task<void> wait(std::shared_ptr<State> state) { co_await state->wakeup.wait(); }

  static Task<void> keep_answer(std::shared_ptr<State> state, std::size_t slot, Task<Answer> call) {
    Answer answer = co_await std::move(call);
    if (state->closed) co_return;
    state->slots[slot].answer.emplace(std::move(answer));
    state->wakeup.notify();
  }

  /// Holds the state only weakly: answers are large, and alarms are mostly late.
  static Task<void> sound_alarm(Runtime& runtime, std::weak_ptr<State> weak, std::uint64_t alarm,
                                Milliseconds duration) {
    co_await runtime.sleep(duration);
    const auto state = weak.lock();
    if (!state || state->closed || state->alarm != alarm) co_return;
    state->alarmed = true;
    state->wakeup.notify();
  }

  std::shared_ptr<State> state_;
};

/// The first success, else why each of the nodes asked failed.
template <class T>
struct FirstGood {
  std::optional<T> value;
  std::vector<std::pair<NodeId, Error>> errors;
};

/// Asks one node after the other: the next when one fails, or as well when it takes longer than
/// `hedge_after`, of which `on_hedge` is told. `ask` makes the question to a node.
template <class T, class Ask, class OnHedge>
Task<FirstGood<T>> first_good(Runtime& runtime, std::vector<NodeId> nodes, Milliseconds hedge_after,
                              Ask ask, OnHedge on_hedge) {
  FanOut<Result<T>> round(runtime);
  FirstGood<T> outcome;
  std::size_t asked = 0;
  while (true) {
    while (auto next = round.take()) {
      if (next->second) {
        outcome.value.emplace(std::move(*next->second));
        co_return outcome;
      }
      outcome.errors.emplace_back(next->first, std::move(next->second.error()));
    }
    const bool waiting = outcome.errors.size() < asked;
    if (asked < nodes.size() && (!waiting || round.alarmed())) {
      if (waiting) on_hedge(nodes[asked - 1]);
      round.ask(nodes[asked], ask(nodes[asked]));
      asked += 1;
      if (asked < nodes.size()) round.set_alarm(hedge_after);
      continue;
    }
    if (!waiting) co_return outcome;
    co_await round.changed();
  }
}

}  // namespace zerodb
