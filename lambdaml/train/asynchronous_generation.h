// A generation whose ranks save and stop each for itself (checkpointed_generation.h): what they
// have in common is in the shared model.
#pragma once

#include <optional>

#include "lambdaml/train/checkpointed_generation.h"
#include "lambdaml/train/pace.h"

namespace lambdaml::train {

// Threads: one.
class AsynchronousGeneration final : public CheckpointedGeneration {
 public:
  // The job and the checkpoints must live as long. Errors: those of the store; kCorrupt.
  explicit AsynchronousGeneration(GenerationOptions options);

  void Describe(comm::Membership& membership) override;
  void Join(comm::Communicator& communicator) override;
  bool IsLeftBehind() override;

  bool has_state() const override { return state_.has_value(); }
  void Restore(const StateVisitor& visit) override;
  bool GoesOn(int64_t epochs, bool epoch_ended, const StateVisitor& visit) override;
  bool Meet(int64_t epochs, const StateVisitor& visit, const std::function<void()>& meet) override;

 private:
  void Save(uint64_t rounds, int64_t epochs, const StateVisitor& visit);

  const wire::Job& job_;
  Checkpoints& checkpoints_;
  const StateVisitor visit_more_;
  const std::function<bool()> is_job_over_;
  const base::Deadline end_;
  std::optional<wire::RankState> state_;  // saved by an earlier invocation of this rank
  uint64_t rounds_ = 0;                   // in that state
  int64_t first_epoch_ = 0;
  Pace pace_;
  base::TimePoint saved_at_;
  comm::Communicator* communicator_ = nullptr;
};

}  // namespace lambdaml::train
