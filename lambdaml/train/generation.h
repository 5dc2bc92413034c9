// One invocation's share of a job, as a training loop sees it: where the loop begins, and where it
// is cut. Everything it must save for that passes through one function, its StateVisitor.
#pragma once

#include <cstdint>
#include <functional>

#include "lambdaml/wire/state.h"

namespace lambdaml::train {

// Visits all that the rest of the run depends on.
using StateVisitor = std::function<void(wire::RankState&)>;

// Threads: one.
class Generation {
 public:
  virtual ~Generation() = default;

  // Whether the loop goes on from a state that was saved.
  virtual bool has_state() const = 0;

  // Sets the state from what was saved, if has_state. Errors: kCorrupt; those of the store.
  virtual void Restore(const StateVisitor& visit) = 0;

  // To be called wherever the loop's state is whole, by all ranks at the same points: at least once
  // between any two rounds of a training step. `epochs` are over; epoch_ended: just now. Saves the
  // state where that is due. False: this generation ends here, and the state is saved.
  virtual bool GoesOn(int64_t epochs, bool epoch_ended, const StateVisitor& visit) = 0;

  // Asynchronous training, at its end: runs `meet`, which waits for the slowest rank. False: this
  // generation ended meanwhile, and the next is to wait again; the state is saved.
  virtual bool Meet(int64_t epochs, const StateVisitor& visit,
                    const std::function<void()>& meet) = 0;
};

// One that outlasts the job, for whom nothing needs saving.
class WholeRun final : public Generation {
 public:
  bool has_state() const override { return false; }
  void Restore(const StateVisitor& /*visit*/) override {}
  bool GoesOn(int64_t /*epochs*/, bool /*epoch_ended*/, const StateVisitor& /*visit*/) override {
    return true;
  }
  bool Meet(int64_t /*epochs*/, const StateVisitor& /*visit*/,
            const std::function<void()>& meet) override {
    meet();
    return true;
  }
};

}  // namespace lambdaml::train
